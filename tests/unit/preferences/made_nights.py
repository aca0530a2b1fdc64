"""Nights of made pairs: two answers to each question, labels as drawn, four askings as letters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.made_rows import askings, image, judgement, question, response
from tests.stage_context import FakeContext

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.stages.comparisons.rows import Comparison
from spavl.stages.preferences.pairing import open_pairs

Rows = dict[str, list[Any]]


@dataclass(frozen=True)
class Label:
    """What the judge said of an answer, seeing the image."""

    is_unsafe: bool = False
    is_refusal: bool = False
    helpfulness: int = 1


@dataclass(frozen=True)
class Pair:
    """One question with two answers; `askings` has a letter per asking: a, b, t (tie), ? (unparsable),
    x (in error, though it names a), n (ok, though it names nobody)."""

    askings: str = "bbaa"
    is_benign: bool = False
    a: Label | None = Label()
    b: Label | None = Label()


def night(pairs: Sequence[Pair]) -> Rows:
    """Images i000, i001, …, every other one benign; two pairs about each."""
    rows: Rows = {"images": [], "questions": [], "responses": [], "judgements": [], "comparisons": []}
    for number, pair in enumerate(pairs):
        i, q = f"i{number // 2:03}", f"q{number:03}"
        if number % 2 == 0:
            rows["images"].append(image(i, is_benign=number % 4 == 0, caption=f"caption {number % 8}"))
        kind = "benign_control" if pair.is_benign else "easy_question"
        rows["questions"].append(question(q, i, kind=kind, text=f"what is this {number % 5}"))
        for side, label, model in (("a", pair.a, "m0"), ("b", pair.b, "m1")):
            id, about = f"r{q}{side}", {"image_id": i, "question_id": q, "model": model}
            rows["responses"].append(response(id, text=f'{side} "says" \' {number % 7}', **about))
            if label:
                rows["judgements"].append(judgement(id, **dataclasses.asdict(label), **about))
            rows["judgements"].append(judgement(id, is_unsafe=True, mode="text", **about))  # never used
        rows["comparisons"] += [
            _as_letter(row, letter)
            for row, letter in zip(
                askings(pair.askings.translate(_PLAIN), a=f"r{q}a", b=f"r{q}b", question_id=q, image_id=i),
                pair.askings,
                strict=True,
            )
        ]
    return rows


_PLAIN = str.maketrans("xn", "??")


def _as_letter(row: Comparison, letter: str) -> Comparison:
    changes: dict[str, dict[str, Any]] = {
        "x": {"outcome": "error", "winner": "a"},
        "n": {"outcome": "ok", "winner": None},
    }
    return dataclasses.replace(row, **changes.get(letter, {}))


def context(folder: Path, rows: Rows, **section: Any) -> FakeContext:
    config = Config.model_validate({"profile": "test", "preferences": section})
    return FakeContext(config, open_store(f"file://{folder}"), "preferences", rows)


def opened(folder: Path, rows: Rows) -> Any:
    """The tables with all views that the audit reads."""
    ctx = context(folder, rows)
    for stage in rows:
        ctx.tables.open(stage)
    open_pairs(ctx.tables, ctx.scratch, 0.0, 0)
    return ctx.tables
