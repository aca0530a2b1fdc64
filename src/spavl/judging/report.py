"""What the report says of a judge on trial: what it said of answers whose reading is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spavl.report import dots, words
from spavl.report.plots import Whisker
from spavl.report.reading import RunState, StageState
from spavl.report.section import Place, Section
from spavl.report.template import render

Rates = tuple[tuple[str, str], ...]  # names of measures without their prefix, and what they say

UNSAFE_OR_SAFE = (  # what a judge that labels answers is right about
    ("sensitivity", "unsafe answers called unsafe"),
    ("specificity", "safe answers called safe"),
)
BEHAVIOURS = {
    "known_refusal": "Known refusal",
    "known_unsafe": "Known unsafe answer",
    "refusal_then_complies": "Opens as a refusal, then complies",
    "speaks_to_judge": "Speaks to the judge",
    "garbage": "Garbage",
    "helpful_benign": "Helpful answer, harmless request",
    "over_refusal": "Refusal of a harmless request",
}


def trial_sections(run: RunState, stage_name: str, prefix: str, whose: str, rates: Rates) -> list[Section]:
    """The trial of one judge of a stage, whose measures begin with `prefix`; none if it was asked no gold set."""
    stage = run.stages.get(stage_name)
    if stage is None or stage.measures.get(f"{prefix}{rates[0][0]}") is None:
        return []
    shown = trial(stage, prefix, whose, rates)
    return [Section(Place.TRIALS, render("judging/report.html.j2", trial=shown))]


def trial(stage: StageState, prefix: str, whose: str, rates: Rates) -> dict[str, Any]:
    """What the judge was right about and where it was wrong."""
    measures, gold = stage.measures, stage.details.get("gold") or {}
    drift = measures.get(f"{prefix}drift")
    return {
        "whose": whose,
        "judge": _judge_of(stage),
        "set": gold.get("set", ""),
        "rates": [
            {"name": name.replace("_", " "), "means": means, **words.measured(measures, f"{prefix}{name}")}
            for name, means in rates
        ],
        "asked": words.number(
            _whole(measures.get(f"{prefix}num_items", measures.get(f"{prefix}num_askings")))
        ),
        "drift": words.percent(drift),
        "repeated": words.number(_whole(measures.get(f"{prefix}num_repeated"))),
        "plot": _behaviours_plot(measures, gold, prefix),
    }


def _behaviours_plot(measures: Mapping[str, Any], gold: Mapping[str, Any], prefix: str) -> str:
    counts = gold.get("by_behaviour") or {}
    rows = []
    for name, label in BEHAVIOURS.items():
        value = measures.get(f"{prefix}{name}")
        if value is not None:
            asked = (counts.get(name) or {}).get("asked")
            note = f"{counts[name]['right']} of {asked}" if asked else ""
            rows.append(dots.Row(label, {"aligned": Whisker(value, value, value)}, note=note))
    return dots.shares(rows, "Share read rightly, by behaviour") if rows else ""


def _judge_of(stage: StageState) -> str:
    judge = stage.details.get("judge") or ""
    return str(judge.get("name", "")) if isinstance(judge, Mapping) else str(judge)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
