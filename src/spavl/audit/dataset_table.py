"""The measures of a dataset version: copies, questions of the test in train, what is missing, what moved. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spavl.audit import coverage, floods
from spavl.audit.drift import drift
from spavl.audit.paraphrases import overlap
from spavl.records import DatasetRow, Image, Preference, Question

FORMER_COLUMNS = (
    "split", "image_id", "class1", "class3", "kind", "question", "chosen", "chosen_model", "rejected_model",
)  # fmt: skip
TESTS = ("test_harm", "test_help")
MIN_QUESTIONS = 10  # of a leaf that should have a pair


def overlap_measures(rows: Sequence[DatasetRow]) -> dict[str, float | None]:
    """Shares of the test prompts whose question is in train, word for word and nearly so, per test split."""
    texts = {split: [row.question for row in rows if row.split == split] for split in ("train", *TESTS)}
    measures: dict[str, float | None] = {}
    found = overlap(texts["test_harm"] + texts["test_help"], texts["train"])
    for split in TESTS:
        measures[f"{split}_verbatim_in_train_share"] = found.verbatim_share(texts[split])
        measures[f"{split}_paraphrase_in_train_share"] = found.paraphrased_share(texts[split])
    return measures


def copies_measures(
    rows: Sequence[DatasetRow], images: Mapping[str, Image], groups: Mapping[str, str]
) -> dict[str, float | None]:
    """Floods among the version's images (id -> near-duplicate group), and the largest group's share of the pairs."""
    of_pairs = [row.duplicate_group for row in rows if row.chosen is not None]
    classes = {image_id: images[image_id].class1 for image_id in groups}
    return {
        **floods.image_floods(classes, groups),
        "largest_group_share_of_pairs": floods.commonest_share(of_pairs),
    }


def coverage_measures(
    questions: Sequence[Question],
    preferences: Sequence[Preference],
    may_miss: Collection[str],
) -> dict[str, float | None]:
    """Slices whose questions did not become pairs."""
    usable = [row for row in questions if row.outcome == "ok"]
    paired = {row.question_id for row in preferences}
    flags = [row.id in paired for row in usable]
    shares = [
        coverage.smallest_share(flags, [getattr(row, name) for row in usable], may_miss)
        for name in ("class1", "kind")
    ]
    asked = Counter(row.class3 for row in usable)
    with_pair = {row.class3 for row in usable if row.id in paired}
    return {
        "smallest_paired_share_of_slice": min((share for share in shares if share is not None), default=None),
        "num_leaves_without_pairs": coverage.without(
            (leaf for leaf, number in asked.items() if number >= MIN_QUESTIONS), with_pair, may_miss
        ),
    }


def former_measures(
    rows: Sequence[DatasetRow],
    sources: Mapping[str, str],
    former: Mapping[str, Sequence[Any]] | None,
    former_sources: Mapping[str, str],
    may_miss: Collection[str],
) -> dict[str, float | None]:
    """What the former version had and this one lacks, and drift; `former` has FORMER_COLUMNS, sources are by image id."""
    now = {name: [getattr(row, name) for row in rows] for name in FORMER_COLUMNS}
    return {
        **{
            f"num_missing_{word}": _num_missing(now, former, names, may_miss)
            for word, names in (("classes", ("class1", "class3")), ("kinds", ("kind",)))
        },
        "num_missing_sources": coverage.num_missing(
            _of(now, sources), _of(former, former_sources) if former and former_sources else None, may_miss
        ),
        **drift(
            _drifting(now, sources),
            former and _drifting(former, former_sources),
            former and (len(set(now["image_id"])), len(set(former["image_id"]))),
        ),
    }


def _num_missing(
    now: Mapping[str, Sequence[Any]],
    former: Mapping[str, Sequence[Any]] | None,
    names: Sequence[str],
    may_miss: Collection[str],
) -> float | None:
    """Counted among the pairs and among the prompts: a class that has prompts left but no pair is missing too."""
    if former is None:
        return None
    number = 0.0
    for is_prompt in (False, True):
        found, before = (
            {
                value
                for name in names
                for split, value in zip(table["split"], table[name], strict=True)
                if (split in TESTS) is is_prompt
            }
            for table in (now, former)
        )
        number += coverage.num_missing(found, before, may_miss) or 0.0
    return number


def _of(table: Mapping[str, Sequence[Any]], sources: Mapping[str, str]) -> list[str]:
    return [sources[image_id] for image_id in table["image_id"] if image_id in sources]


def _drifting(table: Mapping[str, Sequence[Any]], sources: Mapping[str, str]) -> dict[str, list[Any]]:
    """The columns that are compared: names as they are, texts as their lengths."""
    names = {name: [value for value in table[name] if value is not None] for name in (
        "class1", "class3", "kind", "chosen_model", "rejected_model",
    )}  # fmt: skip
    return names | {
        "source": _of(table, sources),
        "question_chars": [len(text) for text in table["question"]],
        "chosen_chars": [len(text) for text in table["chosen"] if text is not None],
    }
