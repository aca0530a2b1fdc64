"""How many held-out prompts a decision needs, and how likely it then lets a good candidate through."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

MOST_PROMPTS = 1_000_000


@dataclass(frozen=True)
class Design:
    """How held-out prompts of one kind are drawn."""

    prompts_per_image: float = 3.0
    icc: float = 0.3  # how alike the outcomes of one image's prompts are: 0 independent, 1 all the same


@dataclass(frozen=True)
class Condition:
    """One condition of the decision: the interval's end of a mean must lie on the right side of a limit."""

    mean: float  # expected of a good candidate
    variance: float  # of one prompt's value
    limit: float  # the interval must end below it (mean < limit) or above it (mean > limit)


def rate_condition(rate: float, limit: float) -> Condition:
    """A share that must end below (or above) the limit."""
    return Condition(rate, rate * (1 - rate), limit)


def change_condition(up: float, down: float, limit: float) -> Condition:
    """A paired change, up and down being the shares of prompts that go each way."""
    return Condition(up - down, up + down - (up - down) ** 2, limit)


def power_of_decision(
    conditions: list[Condition], num_prompts: int, *, alpha: float, design: Design | None = None
) -> float:
    """Least chance that all conditions hold with num_prompts of each kind; alpha one-sided, of this decision.

    Normal approximation; the chances of the single conditions to fail are added up (Bonferroni), so it errs to the low side.
    """
    failing = sum(1 - _power(condition, num_prompts, alpha, design or Design()) for condition in conditions)
    return max(0.0, 1 - failing)


def prompts_needed(
    conditions: list[Condition], *, alpha: float, power: float = 0.9, design: Design | None = None
) -> int | None:
    """Fewest prompts of each kind with that power; None if MOST_PROMPTS are too few, as if a condition never holds."""
    enough = MOST_PROMPTS
    if power_of_decision(conditions, enough, alpha=alpha, design=design) < power:
        return None
    too_few = 0
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if power_of_decision(conditions, middle, alpha=alpha, design=design) >= power:
            enough = middle
        else:
            too_few = middle
    return enough


def more_prompts_needed(value: float, end: float, limit: float, n: int) -> int | None:
    """How many more prompts of the same design until the interval's end would clear the limit, if the value stays.

    The distance of an end from its value shrinks as 1 / sqrt(n). 0 if the end is clear already. None if no number helps:
    the value itself is on the wrong side of the limit (or on it).
    """
    room, width = abs(limit - value), abs(end - value)
    if (end < value) != (limit < value) or not room:
        return None
    return max(0, math.ceil(n * (width / room) ** 2) - n)


def _power(condition: Condition, num_prompts: int, alpha: float, design: Design) -> float:
    effect = 1 + (design.prompts_per_image - 1) * design.icc
    error = math.sqrt(condition.variance * effect / num_prompts)
    room = abs(condition.limit - condition.mean)
    if not error:
        return float(room > 0)
    return NormalDist().cdf(room / error - NormalDist().inv_cdf(1 - alpha))
