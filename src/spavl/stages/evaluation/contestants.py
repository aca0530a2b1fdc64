"""Who answers in an evaluation: base, candidate and earlier releases, by the roles that the plan gives them."""

from __future__ import annotations

from spavl.contestants import ALIGNED, BASE, CHAMPION
from spavl.stage import StageContext

BEST_HARM, BEST_HELP = "best_harm", "best_help"
RELEASES = (CHAMPION, BEST_HARM, BEST_HELP)  # roles that the plan gives to earlier releases, if there are any


def roles(context: StageContext) -> tuple[str, ...]:
    """The roles that answer; of two roles of one release the first answers for both (`stands_for`)."""
    return (BASE, ALIGNED, *dict.fromkeys(stands_for(context).values()))


def stands_for(context: StageContext) -> dict[str, str]:
    """Role of an earlier release -> the role whose answers are its own: itself, or an earlier role of the same release."""
    found: dict[str, str] = {}
    first_of_run: dict[str, str] = {}
    for role in RELEASES:
        if role in context.references:
            found[role] = first_of_run.setdefault(context.references[role]["run_id"], role)
    return found
