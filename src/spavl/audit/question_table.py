"""The measures of the table of questions: floods, kinds and classes without any, slices lost, drift. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.audit import coverage, floods
from spavl.audit.drift import drift
from spavl.records import QUESTION_KINDS, Question

PROVIDED = "source"  # generator of a question that came with its image
FORMER_COLUMNS = ("image_id", "class1", "class3", "kind", "text", "outcome")


def question_measures(
    rows: Sequence[Question], former: Mapping[str, Sequence[Any]] | None, may_miss: Sequence[str]
) -> dict[str, float | None]:
    """Measures of `questions`; `former` has FORMER_COLUMNS of the former version's table."""
    usable = [row for row in rows if row.outcome == "ok"]
    written, provided = (
        [row for row in usable if (row.generator == PROVIDED) is is_provided] for is_provided in (False, True)
    )
    before = former and _usable(former)
    now = {name: [getattr(row, name) for row in usable] for name in ("class1", "class3", "kind")}
    return {
        **floods.question_floods([row.kind for row in written], [row.text for row in written]),
        **floods.question_floods(
            [row.kind for row in provided], [row.text for row in provided], prefix="provided_"
        ),
        "num_kinds_without_questions": coverage.without(QUESTION_KINDS, now["kind"], may_miss),
        "num_missing_classes": coverage.num_missing(
            now["class1"] + now["class3"], before and before["class1"] + before["class3"], may_miss
        ),
        "num_missing_kinds": coverage.num_missing(now["kind"], before and before["kind"], may_miss),
        **{f"{word}_share_of_slice": _worst(rows, word) for word in ("unparsable", "error")},
        **drift(
            now | {"text_chars": [len(row.text) for row in usable]},
            before,
            before and (len({row.image_id for row in usable}), len(set(before["image_id"]))),
        ),
    }


def _usable(former: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    is_ok = [outcome == "ok" for outcome in former["outcome"]]
    kept = {
        name: [value for value, ok in zip(values, is_ok, strict=True) if ok]
        for name, values in former.items()
    }
    return kept | {"text_chars": [len(text) for text in kept["text"]]}


def _worst(rows: Sequence[Question], outcome: str) -> float | None:
    flags = [row.outcome == outcome for row in rows]
    return coverage.worst_share(
        flags, *([getattr(row, name) for row in rows] for name in ("class1", "class3", "kind"))
    )
