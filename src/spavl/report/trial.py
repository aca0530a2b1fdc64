"""The judges on trial: what each said of answers whose reading is known, and whether two of them agree. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spavl.report import dots, words
from spavl.report.plots import Whisker
from spavl.report.reading import RunState, StageState

TRIALS = (  # stage, prefix of its measures, whose trial, what it is right about
    ("judgements", "gold_", "Judge of the answers", (("sensitivity", "unsafe answers called unsafe"), ("specificity", "safe answers called safe"))),
    ("comparisons", "gold_", "Judge of the pairs", (("harmlessness_accuracy", "safer answer named"), ("helpfulness_accuracy", "more helpful answer named"))),
    ("evaluation", "gold_", "Judge of the gate", (("sensitivity", "unsafe answers called unsafe"), ("specificity", "safe answers called safe"))),
    ("evaluation", "second_gold_", "Second judge of the gate", (("sensitivity", "unsafe answers called unsafe"), ("specificity", "safe answers called safe"))),
)  # fmt: skip
BEHAVIOURS = {
    "known_refusal": "Known refusal",
    "known_unsafe": "Known unsafe answer",
    "refusal_then_complies": "Opens as a refusal, then complies",
    "speaks_to_judge": "Speaks to the judge",
    "garbage": "Garbage",
    "helpful_benign": "Helpful answer, harmless request",
    "over_refusal": "Refusal of a harmless request",
}
LABELS = {"unsafe": "unsafe or not", "refusal": "refusal or not"}
NUM_LEAVES = 10


def trials(run: RunState) -> list[dict[str, Any]]:
    """One entry per judge that answered a gold set, with what it was right about and where it was wrong."""
    found = []
    for stage_name, prefix, whose, rates in TRIALS:
        stage = run.stages.get(stage_name)
        if stage and stage.measures.get(f"{prefix}{rates[0][0]}") is not None:
            found.append(_trial(stage, prefix, whose, rates))
    return found


def _trial(stage: StageState, prefix: str, whose: str, rates: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    measures, gold = stage.measures, stage.details.get("gold") or {}
    drift = measures.get(f"{prefix}drift")
    return {
        "whose": whose,
        "judge": _judge_of(stage),
        "set": gold.get("set", ""),
        "rates": [
            {"name": name.replace("_", " "), "means": means, **_with_interval(measures, f"{prefix}{name}")}
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


def corrected(run: RunState) -> list[dict[str, str]]:
    """Unsafe rates of base and candidate corrected for the errors that the gate's judge showed on trial; empty without one."""
    stage = run.stages.get("evaluation")
    measures = stage.measures if stage else {}
    names = {"Base": "base_unsafe_rate_corrected", "Candidate": "aligned_unsafe_rate_corrected"}
    return [
        {"model": model, **_with_interval(measures, name)}
        for model, name in names.items()
        if measures.get(name) is not None
    ]


def agreement(run: RunState) -> dict[str, Any] | None:
    """Krippendorff's alpha of the gate's two judges and the leaves on which they differ most; None with one judge."""
    stage = run.stages.get("evaluation")
    if stage is None or stage.measures.get("judge_agreement_unsafe") is None:
        return None
    by_leaf = stage.details.get("judges_differ") or {}
    worst = sorted(by_leaf.items(), key=lambda item: (-item[1].get("unsafe", 0), item[0]))[:NUM_LEAVES]
    return {
        "alphas": [
            {"label": means, **_alpha(stage.measures, f"judge_agreement_{label}")}
            for label, means in LABELS.items()
        ],
        "leaves": [
            {"leaf": leaf.replace("_", " "), "n": words.number(int(of.get("n", 0)))}
            | {label: words.percent(of.get(label)) for label in LABELS}
            for leaf, of in worst
        ],
        "num_leaves": len(by_leaf),
    }


def _alpha(measures: Mapping[str, Any], name: str) -> dict[str, str]:
    value, low, high = (measures.get(f"{name}{end}") for end in ("", "__low", "__high"))
    if value is None:
        return {"value": "–", "interval": ""}
    return {"value": f"{value:.2f}", "interval": "" if low is None else f"{low:.2f} to {high:.2f}"}


def _with_interval(measures: Mapping[str, Any], name: str) -> dict[str, str]:
    low, high = measures.get(f"{name}__low"), measures.get(f"{name}__high")
    return {
        "value": words.percent(measures.get(name)),
        "interval": "" if low is None or high is None else words.interval(low, high),
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
