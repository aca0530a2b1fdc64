"""Recorded rows as a drill changes them. Pure: each takes a stage's rows and gives new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

from spavl.drill.changes import Read, Rows
from spavl.drill.pictures import even
from spavl.stages.comparisons.rows import Comparison
from spavl.stages.preferences.rows import Preference

Hit = Callable[[Any], bool]
_SIDES = (
    ("chosen", "rejected"),
    ("chosen_response", "rejected_response"),
    ("chosen_model", "rejected_model"),
    ("chosen_group", "rejected_group"),
    ("chosen_is_unsafe", "rejected_is_unsafe"),
)


def of_classes(classes: Collection[str]) -> Hit:
    return lambda row: row.class3 in classes


def share_of_images(share: float) -> Hit:
    return lambda row: even(row.image_id, "rows") < share


def exchanged_winners(classes: Collection[str]) -> Callable[[Rows, Read], list[Any]]:
    """Comparisons of these classes with the other winner; a tie stays."""

    def change(rows: Sequence[Comparison], read: Read) -> list[Comparison]:
        hit = {row.id for row in read("questions") if row.class3 in classes}
        other = {"a": "b", "b": "a"}
        return [
            dataclasses.replace(row, winner=other.get(row.winner or "", row.winner))
            if row.question_id in hit
            else row
            for row in rows
        ]

    return change


def exchanged_pairs(is_hit: Hit) -> Callable[[Rows, Read], list[Any]]:
    """Preferences with chosen and rejected exchanged, with all that is known of the two."""

    def change(rows: Sequence[Preference], read: Read) -> list[Preference]:
        return [exchanged(row) if is_hit(row) else row for row in rows]

    return change


def exchanged(row: Preference) -> Preference:
    """One pair the other way round."""
    values = {}
    for one, other in _SIDES:
        values[one], values[other] = getattr(row, other), getattr(row, one)
    return dataclasses.replace(row, **values)


def exchanged_texts(is_hit: Hit) -> Callable[[Rows, Read], list[Any]]:
    """Preferences with the two texts exchanged, and the labels of both left where they were."""

    def change(rows: Sequence[Preference], read: Read) -> list[Preference]:
        return [
            dataclasses.replace(row, chosen=row.rejected, rejected=row.chosen) if is_hit(row) else row
            for row in rows
        ]

    return change


def asking_test_questions(paraphrase: Callable[[str], str]) -> Callable[[Rows, Read], list[Any]]:
    """Every pair of a train image asks, in other words, what a test prompt of the same kind asks."""

    def change(rows: Sequence[Preference], read: Read) -> list[Preference]:
        prompts: dict[str, list[str]] = {}
        for row in read("dataset"):
            if row.split.startswith("test"):
                prompts.setdefault(row.kind, []).append(row.question)
        trained = {row.question_id for row in read("dataset") if row.split == "train"}
        return [_asking(row, prompts, paraphrase) if row.question_id in trained else row for row in rows]

    return change


def _asking(row: Preference, prompts: dict[str, list[str]], paraphrase: Callable[[str], str]) -> Preference:
    known = prompts.get(row.kind)
    if not known:
        return row
    return dataclasses.replace(row, question=paraphrase(known[int(even(row.id, "question") * len(known))]))


def without_classes(classes: Collection[str]) -> Callable[[Rows, Read], list[Any]]:
    """No row of these classes."""
    return lambda rows, read: [row for row in rows if row.class3 not in classes]
