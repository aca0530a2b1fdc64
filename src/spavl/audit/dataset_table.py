"""The measures of a dataset version: copies, questions of the test in train, what is missing, what moved. Pure.

All is counted by the stage; what comes here is names and how many rows each has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.audit import coverage
from spavl.audit.drift import binned, psi
from spavl.audit.paraphrases import overlap

if TYPE_CHECKING:
    import numpy as np

TESTS = ("test_harm", "test_help")
MIN_QUESTIONS = 10  # of a leaf that should have a pair


@dataclass(frozen=True, slots=True)
class Described:
    """A version's rows, counted."""

    names: Mapping[str, Mapping[str, int]]  # column -> name -> rows: classes, kind, models of pairs
    lengths: Mapping[str, np.ndarray]  # column -> characters of each row's text, int64, in no order
    sources: Mapping[str, int] | None  # source of the row's image -> rows; None: no table of images
    present: Mapping[bool, Mapping[str, Collection[str]]]  # is a prompt -> column -> names that occur
    num_images: int


@dataclass(frozen=True, slots=True)
class Usable:
    """Questions that can be asked, and how many of them became pairs."""

    num_questions: int
    num_with_pair: int


def overlap_measures(
    prompts: Mapping[str, Mapping[str, int]], train: Iterable[str]
) -> dict[str, float | None]:
    """Shares of the test prompts whose question is in train, word for word and nearly so, per test split.

    `prompts`: test split -> question -> rows; `train`: the questions of train, each once.
    """
    measures: dict[str, float | None] = {}
    found = overlap((text for split in TESTS for text in prompts[split]), train)
    for split in TESTS:
        measures[f"{split}_verbatim_in_train_share"] = found.verbatim_share(prompts[split])
        measures[f"{split}_paraphrase_in_train_share"] = found.paraphrased_share(prompts[split])
    return measures


def coverage_measures(
    by_class: Mapping[str, Usable],
    by_kind: Mapping[str, Usable],
    by_leaf: Mapping[str, Usable],
    may_miss: Collection[str],
) -> dict[str, float | None]:
    """Slices whose questions did not become pairs; each mapping is name -> its usable questions."""
    shares = [_smallest_share(slices, may_miss) for slices in (by_class, by_kind)]
    asked = [leaf for leaf, usable in by_leaf.items() if usable.num_questions >= MIN_QUESTIONS]
    with_pair = {leaf for leaf, usable in by_leaf.items() if usable.num_with_pair}
    return {
        "smallest_paired_share_of_slice": min((share for share in shares if share is not None), default=None),
        "num_leaves_without_pairs": coverage.without(asked, with_pair, may_miss),
    }


def _smallest_share(slices: Mapping[str, Usable], may_miss: Collection[str]) -> float | None:
    """The smallest share of questions with a pair over the names that may not be missing, of at least MIN_ROWS."""
    lost = [
        (usable.num_questions - usable.num_with_pair) / usable.num_questions
        for name, usable in slices.items()
        if usable.num_questions >= coverage.MIN_ROWS and name not in may_miss
    ]
    return 1 - max(lost) if lost else None


def former_measures(
    now: Described, former: Described | None, may_miss: Collection[str]
) -> dict[str, float | None]:
    """What the former version had and this one lacks, and drift."""
    former_sources = former.sources if former else None
    return {
        "num_missing_classes": _num_missing(now, former, ("class1", "class3"), may_miss),
        "num_missing_kinds": _num_missing(now, former, ("kind",), may_miss),
        "num_missing_sources": coverage.num_missing((now.sources or {}).keys(), former_sources, may_miss),
        **_drift(now, former),
    }


def _num_missing(
    now: Described, former: Described | None, names: Collection[str], may_miss: Collection[str]
) -> float | None:
    """Counted among the pairs and among the prompts: a class that has prompts left but no pair is missing too."""
    if former is None:
        return None
    number = 0.0
    for is_prompt in (False, True):
        found, before = (
            {value for name in names for value in version.present[is_prompt][name]}
            for version in (now, former)
        )
        number += coverage.num_missing(found, before, may_miss) or 0.0
    return number


def _drift(now: Described, former: Described | None) -> dict[str, float | None]:
    """`psi_<column>` of names as they are and of texts as their lengths, and the worst beyond chance; images are the units."""
    columns = [*now.names, "source", *now.lengths]
    indices: dict[str, float | None] = {f"psi_{name}": None for name in columns}
    beyond = []
    for name in columns if former else ():
        sample, before = _sample(now, name), _sample(former, name)
        if len(sample) and len(before):
            units = (now.num_images, former.num_images)
            counted = (Counter(sample), Counter(before)) if name not in now.lengths else binned(sample, before)  # fmt: skip
            indices[f"psi_{name}"], excess = psi(*counted, units)
            beyond.append(excess)
    return indices | {"psi_beyond_chance": max(beyond, default=None)}


def _sample(version: Described, name: str) -> Mapping[str, int] | np.ndarray:
    if name == "source":
        return version.sources or {}
    return version.lengths[name] if name in version.lengths else version.names[name]
