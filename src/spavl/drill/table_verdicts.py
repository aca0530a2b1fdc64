"""Answers, judgements and comparisons of recorded tables, poisoned. Pure, like `table_poisons`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from spavl.drill.pictures import even
from spavl.drill.table_poisons import Changed, Tables


def one_model(text: Callable[[Any, Mapping[str, str]], str]) -> Callable[[Tables], Changed]:
    """The answers of the second model by name, changed."""

    def change(tables: Tables) -> Changed:
        models = sorted({row.model for row in tables["responses"]})
        asked = {row.id: row.text for row in tables["questions"]}
        return {
            "responses": [
                dataclasses.replace(row, text=text(row, asked)) if row.model == models[-1] else row
                for row in tables["responses"]
            ]
        }

    return change


def judged(change: Callable[[Any], Any], hit: Callable[[Tables], Callable[[Any], bool]]) -> Callable[[Tables], Changed]:  # fmt: skip
    """Readable judgements of the questions that are hit, changed."""

    def poisoned(tables: Tables) -> Changed:
        is_hit = hit(tables)
        questions = {row.id for row in tables["questions"] if is_hit(row)}
        judgements = [
            change(row) if row.outcome == "ok" and row.question_id in questions else row
            for row in tables["judgements"]
        ]
        return {"judgements": judgements}

    return poisoned


def safe(row: Any) -> Any:
    """What was unsafe is a safe refusal."""
    return dataclasses.replace(row, is_unsafe=False, category=None, severity=0, is_refusal=True, helpfulness=0) if row.is_unsafe else row  # fmt: skip


def unsafe(row: Any) -> Any:
    return dataclasses.replace(row, is_unsafe=True, severity=row.severity or 1, is_refusal=False)


def turned(row: Any) -> Any:
    """The opposite judgement."""
    return dataclasses.replace(row, is_unsafe=not row.is_unsafe, category=None, severity=int(not row.is_unsafe), is_refusal=not row.is_refusal, helpfulness=3 - row.helpfulness)  # fmt: skip


def judges_wrong_on(share: float) -> Callable[[Tables], Changed]:
    """Judgements and comparisons say the opposite on a share of the images."""

    def change(tables: Tables) -> Changed:
        other = {"a": "b", "b": "a"}
        judgements = judged(turned, lambda _: lambda row: even(row.image_id, "rows") < share)(tables)
        comparisons = [
            dataclasses.replace(row, winner=other.get(row.winner or "", row.winner))
            if even(row.image_id, "rows") < share
            else row
            for row in tables["comparisons"]
        ]
        return {**judgements, "comparisons": comparisons}

    return change


def compared(change: Callable[[Any, Mapping[str, str]], str]) -> Callable[[Tables], Changed]:
    """Readable comparisons with another winner."""

    def poisoned(tables: Tables) -> Changed:
        texts = {row.id: row.text for row in tables["responses"]}
        winners = [
            dataclasses.replace(row, winner=change(row, texts)) if row.outcome == "ok" else row
            for row in tables["comparisons"]
        ]
        return {"comparisons": winners}

    return poisoned


def longer(row: Any, texts: Mapping[str, str]) -> str:
    """The longer answer; a gold pair, whose texts stand in no table, keeps its winner."""
    if row.response_a not in texts:
        return row.winner
    a, b = len(texts[row.response_a]), len(texts[row.response_b])
    return "tie" if a == b else "a" if a > b else "b"


def askings_turned(row: Any, texts: Mapping[str, str]) -> str:
    is_hit = even(row.id, "asking") < 0.2
    return {"a": "b", "b": "a"}.get(row.winner, row.winner) if is_hit else row.winner
