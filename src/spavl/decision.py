"""What a release decision is planned with: the releases it is compared with, its number, its level, and its power.

Earlier releases come from the release channel alone. The champion is what it points to now. The best earlier release for
harm (for help) is the one with the lowest unsafe rate (highest help rate) in its channel entry, so that a drift of small
losses is measured against its start and not against the step before. Rates and not changes are compared, because nights may
start from the last release and then each has another base. A release that a rollback left behind is no reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spavl.artifacts import channel, decisions
from spavl.artifacts.standing import UNSAFE, references_of
from spavl.artifacts.store import Store
from spavl.config.root import Config
from spavl.statistics import (
    Design,
    Expected,
    Margins,
    alpha_of_decision,
    decision_power,
    decision_prompts_needed,
)

ALPHA = 0.05  # one-sided, shared by all decisions until the next release; evaluation uses the same
POWER = 0.9
BASE_UNSAFE = "held_out_harm/base/unsafe_rate"
EXPECTED_BASE_UNSAFE, EXPECTED_UNSAFE = (
    1.0,
    0.08,
)  # of a first release, for its power: what the demo world measured
_LIMITS = {  # margin -> the column of the suite that has it as limit, and its sign
    "unsafe_rise": ("held_out_harm__change_champion__unsafe_rate__gate_high", 1),
    "unsafe_value": ("held_out_harm__aligned__unsafe_rate", 1),
    "unsafe_high": ("held_out_harm__aligned__unsafe_rate__gate_high", 1),
    "help_loss": ("held_out_benign__change__help_rate__gate_low", -1),
    "over_refusal_rise": ("held_out_benign__change__over_refusal_rate__gate_high", 1),
}


def planned_decision(
    store: Store, config: Config, counts: Mapping[str, int], suite: str, head: channel.Entry | None
) -> dict[str, Any]:
    """The plan's fields about the decision of a run of align_model on a dataset version of these counts, at this head of the channel.

    The number is the one it will take if no other run decides first.
    """
    name = config.release.channel
    standing = channel.standing(store, name, head)
    number = decisions.next_number(store, name, standing["last_publish"])
    references = references_of(head, standing) if head else {}
    return {
        "references": references,
        "decision_number": number,
        "last_release": standing["last_publish"],
        "decision": _power(number, references, head.details if head else {}, counts, suite),
    }


def _power(
    number: int,
    references: dict[str, dict[str, str]],
    champion: dict[str, Any],
    counts: Mapping[str, int],
    suite: str,
) -> dict[str, Any]:
    """How likely a good candidate passes with the prompts drawn, and how many would give it POWER."""
    harm, benign = counts.get("test_harm", 0), counts.get("test_help", 0)
    scores = champion.get("scores", {})
    alpha = alpha_of_decision(number, ALPHA)
    num_releases = len({reference["run_id"] for reference in references.values()})
    expected = Expected(
        base_unsafe=scores.get(BASE_UNSAFE, EXPECTED_BASE_UNSAFE),
        unsafe=scores.get(UNSAFE, EXPECTED_UNSAFE),
        num_releases=num_releases,
    )
    margins, design = margins_of(suite), Design(_prompts_per_image(counts, harm + benign))
    needed = decision_prompts_needed(expected, alpha=alpha, power=POWER, margins=margins, design=design)
    power = (
        decision_power(expected, harm, benign, alpha=alpha, margins=margins, design=design)
        if harm and benign
        else 0.0
    )
    return {
        "alpha": alpha,
        "harm_prompts": harm,
        "benign_prompts": benign,
        "harm_prompts_needed": needed.harm,
        "benign_prompts_needed": needed.benign,
        "needed_for_power": POWER,
        "power": round(power, 3),
        "expected_base_unsafe": expected.base_unsafe,
        "expected_unsafe": expected.unsafe,
    }


def _prompts_per_image(counts: Mapping[str, int], num_prompts: int) -> int:
    """Rounded up: more prompts of one image are worth less, so the power errs to the low side."""
    num_images = counts.get("images_test", 0)
    return max(1, -(-num_prompts // num_images)) if num_images else Design().prompts_per_image


def margins_of(suite: str) -> Margins:
    """The limits of the release decision as the suite has them; what it does not limit keeps its default."""
    from spavl.stages.evaluation.rows import Score
    from spavl.validation import load_suite

    limits = {}
    for expectation in load_suite(suite, Score).expectations:
        for margin, (column, sign) in _LIMITS.items():
            if expectation.severity == "critical" and expectation.columns == (column,):
                limit = expectation.kwargs.get("max_value" if sign > 0 else "min_value")
                limits[margin] = sign * limit if limit is not None else getattr(Margins(), margin)
    return Margins(**limits)


def in_words(references: dict[str, dict[str, str]], number: int, details: dict[str, Any]) -> str:
    """One line for a terminal."""
    against = [f"{role} {reference['run_id']}" for role, reference in references.items()]
    needed = [details["harm_prompts_needed"], details["benign_prompts_needed"]]
    harm, benign = ("no number" if value is None else f"{value:,}" for value in needed)
    return (
        f"decision {number} since the last release, against base{''.join(f', {one}' for one in against)}; "
        f"one-sided level {details['alpha']:.3g}; {details['harm_prompts']:,} harm and {details['benign_prompts']:,} benign prompts; "
        f"a good candidate passes with {details['power']:.0%}; {details['needed_for_power']:.0%} need {harm} and {benign}"
    )
