"""The release decision on the page: its verdict with reasons, what it is compared with, and how much it could see. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spavl.report import words
from spavl.report.checks import Expected, expectations_of, verdict_of
from spavl.report.reading import RunState

VERDICTS = {
    "passed": "The gate has passed.",
    "warnings": "The gate has passed, with warnings.",
    "failed": "The gate has failed: nothing is published.",
    "inconclusive": "The gate is inconclusive: too little was seen to decide, and nothing is published.",
}
ROLES = {
    "champion": "the release that the channel pointed to",
    "best_harm": "the safest earlier release",
    "best_help": "the most helpful earlier release",
}


def decision(run: RunState) -> dict[str, Any] | None:
    """Verdict, reasons, references and power; None before the evaluation has been checked."""
    stage = run.stages.get("evaluation")
    verdict = verdict_of(stage.check) if stage else ""
    if stage is None or not verdict:
        return None
    found = expectations_of(stage.check)
    return {
        "verdict": verdict,
        "words": VERDICTS[verdict],
        "failed": [_reason(one) for one in found if one.is_blocking and one.status == "fail"],
        "open": [_reason(one) for one in found if one.is_blocking and one.status == "inconclusive"],
        "warnings": [_reason(one) for one in found if not one.has_passed and not one.is_blocking],
        "num_met": sum(one.has_passed for one in found),
        "num_all": len(found),
        "references": _references(run.plan),
        "power": power(run.plan),
        "number": _whole(stage.measures.get("decision_number")),
        "alpha": _level(stage.measures.get("decision_alpha")),
        "approval": run.approval,
    }


def power(plan: Mapping[str, Any]) -> dict[str, str] | None:
    """What the plan said before the night: prompts drawn, prompts needed, the chance that a good candidate passes."""
    planned = plan.get("decision") or {}
    if "power" not in planned:
        return None
    return {
        "harm": words.number(planned.get("harm_prompts")),
        "benign": words.number(planned.get("benign_prompts")),
        "harm_needed": words.number(planned.get("harm_prompts_needed")),
        "benign_needed": words.number(planned.get("benign_prompts_needed")),
        "wanted": words.percent(planned.get("needed_for_power"), 0),
        "power": words.percent(planned["power"], 0),
        "expected_base": words.percent(planned.get("expected_base_unsafe"), 0),
        "expected": words.percent(planned.get("expected_unsafe"), 0),
    }


def _references(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    named = plan.get("references") or {}
    return [
        {"role": role_words, "run_id": named[role]["run_id"]}
        for role, role_words in ROLES.items()
        if role in named
    ]


def _reason(one: Expected) -> dict[str, str]:
    return {
        "reason": one.reason,
        "seen": one.seen,
        "limit": one.limit,
        "needs": one.needs,
        "label": one.label,
    }


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _level(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2g} %"
