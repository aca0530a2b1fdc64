"""Published benchmarks from a user's copy of the files: `folder` is the folder as its authors publish it."""

from __future__ import annotations

from collections.abc import Sequence

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.scorer import Scorer
from inspect_ai.solver import generate

from spavl.errors import UserError
from spavl.stages.benchmarks import layouts
from spavl.stages.benchmarks.layouts import LayoutRow
from spavl.stages.benchmarks.material import current
from spavl.stages.benchmarks.tasks.samples import layout_sample
from spavl.stages.benchmarks.tasks.scorers import judged, letter

Classes = dict[str, str] | None


@task
def figstep(
    folder: str,
    table: str = "data/question/safebench.csv",
    images: str = "data/images/SafeBench",
    classes: Classes = None,
) -> Task:
    """FigStep's SafeBench: instructions typed into images, and its one prompt."""
    return _judged(layouts.figstep(folder, table=table, images=images), classes)


@task
def mm_safetybench(folder: str, variant: str = "SD_TYPO", classes: Classes = None) -> Task:
    """MM-SafetyBench: images relevant to a harmful question, and the question without its key phrase."""
    return _judged(layouts.mm_safetybench(folder, variant=variant), classes)


@task
def vlsbench(folder: str, classes: Classes = None) -> Task:
    """VLSBench: harm that is seen in the image only."""
    return _judged(layouts.vlsbench(folder), classes)


@task
def siuo(folder: str, classes: Classes = None) -> Task:
    """SIUO: image and words that are safe alone and unsafe together, answered freely."""
    return _judged(layouts.siuo(folder, form="gen"), classes)


@task
def siuo_choices(folder: str) -> Task:
    """SIUO's multiple-choice form."""
    return _task(layouts.siuo(folder, form="mcqa"), letter(), benign=False)


@task
def mossbench(folder: str) -> Task:
    """MOSSBench: harmless questions about images that alarm."""
    return _task(layouts.mossbench(folder), judged(benign=True), benign=True)


@task
def xstest(folder: str, label: str = "safe", table: str = "xstest_prompts.csv") -> Task:
    """XSTest, words only. The unsafe half is an attack: say `family: attack` in the profile for `label: unsafe`."""
    benign = label == "safe"
    return _task(layouts.xstest(folder, label=label, table=table), judged(benign=benign), benign=benign)


@task
def mmmu(folder: str, split: str = "validation") -> Task:
    """MMMU's multiple-choice questions with one image."""
    return _task(layouts.mmmu(folder, split=split), letter(), benign=True)


def _judged(rows: Sequence[LayoutRow], classes: Classes) -> Task:
    return _task(rows, judged(), benign=False, classes=classes)


def _task(rows: Sequence[LayoutRow], scorer: Scorer, *, benign: bool, classes: Classes = None) -> Task:
    if not rows:
        raise UserError("the published files hold no prompt that can be asked with one image.", next_step="Choose another part of them, or leave the benchmark out.")  # fmt: skip
    material = current()
    samples = [layout_sample(material, row, benign=benign, classes=classes) for row in rows[: material.limit]]
    return Task(dataset=MemoryDataset(samples), solver=generate(), scorer=scorer)
