"""What the release decision came to, in dictionaries for `summary.json` and lines for the terminal: gate, image, gold set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spavl.artifacts.record import Record
from spavl.artifacts.store import Store
from spavl.plan import plan_path
from spavl.report.checks import expectations_of, failures_in_words, verdict_of
from spavl.report.ending import rejection
from spavl.report.reading import read_json, read_stage
from spavl.report.words import interval, percent, point_interval, points
from spavl.stages.evaluation.report.decision import power
from spavl.stages.evaluation.report.grounding import in_words
from spavl.stages.evaluation.rows import Score

GATES = ("evaluation", "benchmarks")  # the first that did not pass is the night's verdict
BLOCKED = {"failed": "blocked", "inconclusive": "inconclusive"}


def gate(store: Store, run_id: str | None) -> dict[str, Any]:
    """Verdict, its first reason, and what the decision was; empty before the evaluation has ended."""
    if run_id is None:
        return {}
    stages = [read_stage(store, run_id, name) for name in GATES]
    stopped = next((stage for stage in stages if stage.evidence is not None), None)
    if stopped is None and stages[0].record is None:
        return {}
    stage = stopped or stages[0]
    verdict = BLOCKED.get(verdict_of(stage.check), "blocked") if stopped else "passed"
    reasons = failures_in_words(stage.check)
    found: dict[str, Any] = {"verdict": verdict}
    if verdict != "passed":
        found |= {"stage": stage.name, "reason": next(iter(reasons), "")}
    found["warnings"] = sum(
        not one.has_passed and not one.is_blocking for one in expectations_of(stage.check)
    )
    if (number := stages[0].measures.get("decision_number")) is not None:
        found["decision_number"] = int(number)
    plan = read_json(store, plan_path(run_id)) or {}
    found["references"] = {role: entry["run_id"] for role, entry in (plan.get("references") or {}).items()}
    found["power"] = plan.get("decision") or {}
    found["approval"] = read_json(store, f"runs/{run_id}/approval.json")
    return found


def grounding(scores: Iterable[Score], evaluation: Mapping[str, float | None]) -> dict[str, Any]:
    """The aligned model's grounding score and the rule on words; empty if no prompt was asked with another image."""
    score = next(
        (one for one in scores if (one.benchmark, one.metric, one.model) == ("grounding", "grounding_score", "aligned")),
        None,
    )  # fmt: skip
    if score is None:
        return {}
    return {
        "score": {"value": score.value, "low": score.low, "high": score.high, "n": score.n},
        "text_rule_unsafe_rate": evaluation.get("text_rule_unsafe_rate"),
        "margin_over_text_rule": evaluation.get("margin_over_text_rule"),
    }


def gold(made: Mapping[str, Record]) -> dict[str, Any]:
    """The trial of the judge of the answers; empty if it was asked no gold set."""
    if "judgements" not in made:
        return {}
    measures = made["judgements"].details.get("measures") or {}
    return {name.removeprefix("gold_"): value for name, value in measures.items() if name.startswith("gold_")}


def gate_lines(found: Mapping[str, Any]) -> list[str]:
    """The verdict first, with its reason; then what it was compared with, and who decided."""
    if not found:
        return []
    verdict = found["verdict"]
    warnings = f", {found['warnings']} warnings" if found.get("warnings") else ""
    lines = [f"gate      {verdict}{warnings}"]
    if found.get("reason"):
        lines.append(f"          {found['stage']}: {found['reason']}")
    against = ", ".join(["base", *(f"{role.replace('_', ' ')} {run}" for role, run in found.get("references", {}).items())])  # fmt: skip
    if "decision_number" in found:
        lines.append(
            f"          decision {found['decision_number']} since the last release, against {against}"
        )
    if planned := power({"decision": found.get("power")}):
        lines.append(
            f"          {planned['harm']} harm and {planned['benign']} benign prompts: a good candidate passes with {planned['power']};"
        )
        lines.append(
            f"          {planned['wanted']} need {planned['harm_needed']} and {planned['benign_needed']}"
        )
    if approval := found.get("approval"):
        lines.append(f"approval  {_decided(approval)}")
    return lines


def _decided(approval: Mapping[str, Any]) -> str:
    if approval.get("decision") == "rejected":
        return rejection(approval)
    return f"{approval.get('by')} approved the release: {approval.get('reason')}"


def grounding_lines(found: Mapping[str, Any]) -> list[str]:
    """What the image is worth, in honest words."""
    if not found:
        return []
    score = found["score"]
    lines = [
        f"image     grounding score {points(score['value'])} points [{point_interval(score['low'], score['high'])}] of 100",
        f"          {in_words(score['value'])}",
    ]
    if found.get("text_rule_unsafe_rate") is not None:
        margin = found.get("margin_over_text_rule")
        than = "" if margin is None else f"; aligned is {points(margin)} points better"
        lines.append(
            f"          a rule on words alone leaves {percent(found['text_rule_unsafe_rate'])} unsafe{than}"
        )
    return lines


def gold_line(found: Mapping[str, Any]) -> list[str]:
    """`gold      126 items: sensitivity 100.0 % [96.1 to 100.0], specificity …`."""
    if found.get("sensitivity") is None:
        return []
    rates = [
        f"{name} {percent(found[name])} [{interval(found[f'{name}__low'], found[f'{name}__high'])}]"
        for name in ("sensitivity", "specificity")
        if found.get(name) is not None and found.get(f"{name}__low") is not None
    ]
    drift = "" if found.get("drift") is None else f", drift {percent(found['drift'])}"
    return [f"gold      {found.get('num_items', 0):.0f} items: {', '.join(rates)}{drift}"]
