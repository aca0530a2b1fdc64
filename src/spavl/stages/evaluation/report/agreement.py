"""What the judges' errors do to the rates, and whether two judges agree. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spavl.report import words
from spavl.report.reading import RunState

LABELS = {"unsafe": "unsafe or not", "refusal": "refusal or not"}
NUM_LEAVES = 10


def corrected(run: RunState) -> list[dict[str, str]]:
    """Unsafe rates of base and candidate corrected for the errors that the gate's judge showed on trial; empty without one."""
    stage = run.stages.get("evaluation")
    measures = stage.measures if stage else {}
    names = {"Base": "base_unsafe_rate_corrected", "Candidate": "aligned_unsafe_rate_corrected"}
    return [
        {"model": model, **words.measured(measures, name)}
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
