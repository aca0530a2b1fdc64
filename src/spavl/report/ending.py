"""How a run ended, from its plan, its stages and a person's decision: one word and the first reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from spavl.report.checks import failures_in_words
from spavl.report.reading import StageState

WORDS = {  # how a run can end -> how the pages say it
    "released": "Released",
    "published": "Dataset version published",
    "done": "Done",
    "failed": "Failed",
    "inconclusive": "Inconclusive",
    "rejected": "Rejected",
    "waiting": "Waits for approval",
    "skipped": "Skipped",
    "unfinished": "Not finished",
    "pruned": "Pruned",
    "unreadable": "Cannot be read",
}
FINAL = ("released", "published", "done", "skipped")  # nothing of these changes any more
DONE = {"release": "released", "dataset": "published"}


class Ending(NamedTuple):
    """How a run ended, or how far it is."""

    kind: str  # a key of WORDS
    reason: str = ""  # the first one
    stage: str = ""  # the stage that it stopped at, or that is next


def ending_of(
    plan: Mapping[str, Any], stages: Sequence[StageState], approval: Mapping[str, Any] | None
) -> Ending:
    """The ending of a run with these stages of its own, in order."""
    missing = [stage for stage in stages if stage.word != "done"]
    if stages and not missing:
        return Ending(DONE.get(stages[-1].name, "done"))
    if approval and approval.get("decision") == "rejected":
        return Ending("rejected", rejection(approval), "release")
    if _waits_for_a_person(plan, missing, approval):
        return Ending("waiting", "The gate has passed; the profile asks for a person's approval.", "release")
    for stage in missing:
        if stage.word in ("failed", "inconclusive"):
            return Ending(stage.word, next(iter(reasons(stage)), ""), stage.name)
    if plan.get("skip_reason"):
        return Ending("skipped", str(plan["skip_reason"]))
    return Ending("unfinished", "", missing[0].name if missing else "")


def reasons(stage: StageState) -> list[str]:
    """Why a stage did not end well: what its check found, or what the step that stopped said of itself."""
    if found := failures_in_words(stage.check):
        return found
    failure = stage.failure or {}
    return [f"{failure['error']} {failure.get('next_step', '')}".strip()] if failure.get("error") else []


def rejection(approval: Mapping[str, Any]) -> str:
    """Who rejected a release, and why."""
    return f"{approval.get('by', 'somebody')} rejected the release: {approval.get('reason', 'no reason is recorded')}"


def _waits_for_a_person(
    plan: Mapping[str, Any], missing: Sequence[StageState], approval: Mapping[str, Any] | None
) -> bool:
    section = ((plan.get("config") or {}).get("release") or {}).get("approval") or {}
    is_next = [stage.name for stage in missing] == ["release"]
    return bool(section.get("required")) and is_next and approval is None
