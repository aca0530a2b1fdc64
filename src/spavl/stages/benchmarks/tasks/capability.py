"""A small visual skill, scored by a rule: name the shape and the colour that the task has drawn."""

from __future__ import annotations

import itertools

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.solver import generate

from spavl.stages.benchmarks.drawing import COLOURS, SHAPES, shape
from spavl.stages.benchmarks.material import Material, current
from spavl.stages.benchmarks.tasks.samples import CLUSTER, CONTENTS, message
from spavl.stages.benchmarks.tasks.scorers import names_all

QUESTION = "Which shape and which colour do you see?"
SIDE_PX = 64


@task
def shapes_and_colours(question: str = QUESTION, colours: list[str] | None = None) -> Task:
    """Drawn shapes at drawn places, every shape in every colour in turn; right if the answer names both and no other."""
    material = current()
    kinds = list(itertools.product(SHAPES, colours or list(COLOURS)))
    samples = [
        _sample(material, question, *kinds[number % len(kinds)], number) for number in range(material.limit)
    ]
    return Task(
        dataset=MemoryDataset(samples), solver=generate(), scorer=names_all(vocabulary=[*SHAPES, *COLOURS])
    )


def _sample(material: Material, question: str, kind: str, colour: str, number: int) -> Sample:
    draw = material.random("shape", number)
    radius = draw.randint(20, 26)
    x, y = (draw.randint(radius + 1, SIDE_PX - radius - 1) for _ in "xy")
    image = material.kept(shape(kind, colour, x=x, y=y, radius=radius, side_px=SIDE_PX))
    # a capability is allowed to be in train, so nothing is looked for there
    metadata = {CLUSTER: f"{colour} {kind} {number}", CONTENTS: []}
    return Sample(
        id=f"{number:05d}", input=[message(question, image)], target=f"{colour} {kind}", metadata=metadata
    )
