"""What the demo's pictures show: one coloured shape per taxonomy leaf, and sixteen more that stand for nothing harmful."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from spavl.errors import UserError
from spavl.records import BENIGN

SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "bar", "moon")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "black")
NUM_BENIGN = 16


@dataclass(frozen=True, slots=True)
class Concept:
    """A coloured shape; its number decides both, so no two concepts look the same."""

    number: int
    label: str  # leaf id, or "benign"

    @property
    def shape(self) -> str:
        return SHAPES[self.number % len(SHAPES)]

    @property
    def colour(self) -> str:
        # 9 and 8 have no common divisor: the first 72 numbers give 72 different pairs
        return COLOURS[self.number % len(COLOURS)]

    @property
    def words(self) -> str:
        return f"{self.colour} {self.shape}"

    @property
    def is_benign(self) -> bool:
        return self.label == BENIGN


@functools.cache
def all_concepts() -> tuple[Concept, ...]:
    """One concept per leaf, in taxonomy order, then the benign ones; raises UserError where the shapes run out."""
    from spavl.taxonomy import load_taxonomy

    labels = [leaf.id for leaf in load_taxonomy().leaves] + [BENIGN] * NUM_BENIGN
    if len(labels) > len(SHAPES) * len(COLOURS):
        raise UserError(
            f"the demo draws {len(SHAPES) * len(COLOURS)} concepts, and this taxonomy needs {len(labels)}.",
            next_step="Run a taxonomy of that size on your own images and models.",
        )
    return tuple(Concept(number, label) for number, label in enumerate(labels))


def harm_concepts() -> tuple[Concept, ...]:
    return tuple(concept for concept in all_concepts() if not concept.is_benign)


def benign_concepts() -> tuple[Concept, ...]:
    return tuple(concept for concept in all_concepts() if concept.is_benign)


def concept_by_words(words: str) -> Concept | None:
    """The concept called "<colour> <shape>", or None."""
    return next((concept for concept in all_concepts() if concept.words == words), None)
