"""How likely conditions on intervals hold, and how many held-out prompts they need: said before a night, and after one.

The ends of the intervals come from the interval functions themselves, at the table that is expected; only the scatter
around it is taken as normal. `tests/unit/statistics/test_power.py` compares with simulated nights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from spavl.statistics.changes import difference_limits
from spavl.statistics.clusters import shrunk_effect
from spavl.statistics.rates import limits_of_share

MOST_PROMPTS = 1_000_000


@dataclass(frozen=True)
class Design:
    """How held-out prompts of one kind are drawn."""

    prompts_per_image: float = 3.0
    icc: float = 0.3  # how alike outcomes of one image's prompts are: 0 independent, 1 all the same

    def limits(self, share: float, num_prompts: int, alpha: float) -> tuple[float, float, float]:
        """Value, low and high that the interval of a share is expected to have."""
        import numpy as np

        num_images = max(1, round(num_prompts / self.prompts_per_image))
        num_seen = num_images * min(self._shows(share), self._shows(1 - share))
        effect = shrunk_effect(self.effect, self.prompts_per_image, num_seen)
        return limits_of_share(np.float64(share), np.float64(num_prompts / effect), num_images, alpha)

    @property
    def effect(self) -> float:
        """Variance of a mean over that of independent prompts (Kish 1965, section 5.4)."""
        return 1 + (self.prompts_per_image - 1) * self.icc

    def _shows(self, share: float) -> float:
        """Chance that an image has at least one prompt with an outcome of that share."""
        return self.icc * share + (1 - self.icc) * (1 - (1 - share) ** self.prompts_per_image)


@dataclass(frozen=True)
class RateCondition:
    """The interval of a share must end below the limit if the share is below it, else above."""

    rate: float  # expected of a good candidate
    limit: float

    @property
    def mean(self) -> float:
        return self.rate

    @property
    def variance(self) -> float:
        return self.rate * (1 - self.rate)

    def limits(self, design: Design, num_prompts: int, alpha: float) -> tuple[float, float, float]:
        return design.limits(self.rate, num_prompts, alpha)


@dataclass(frozen=True)
class ChangeCondition:
    """The interval of a paired change must end below the limit if the change is below it, else above."""

    up: float  # expected share of prompts that go from no to yes
    down: float  # and from yes to no
    limit: float

    @property
    def mean(self) -> float:
        return self.up - self.down

    @property
    def variance(self) -> float:
        return self.up + self.down - self.mean**2

    def limits(self, design: Design, num_prompts: int, alpha: float) -> tuple[float, float, float]:
        up, down = (design.limits(share, num_prompts, alpha) for share in (self.up, self.down))
        return difference_limits(up, down)


Condition = RateCondition | ChangeCondition


def power_of_decision(
    conditions: Sequence[Condition], num_prompts: int, *, alpha: float, design: Design | None = None
) -> float:
    """Least chance that all conditions on the same num_prompts hold; alpha is one-sided, that of this decision.

    The chances of the single conditions to fail are added up (Bonferroni), so it errs to the low side.
    """
    failing = sum(1 - _power(condition, num_prompts, alpha, design or Design()) for condition in conditions)
    return max(0.0, 1 - failing)


def prompts_needed(
    conditions: Sequence[Condition], *, alpha: float, power: float, design: Design | None = None
) -> int | None:
    """Fewest prompts with which all conditions hold with that power; None if MOST_PROMPTS are too few."""
    if power_of_decision(conditions, MOST_PROMPTS, alpha=alpha, design=design) < power:
        return None
    too_few, enough = 0, 1
    while power_of_decision(conditions, enough, alpha=alpha, design=design) < power:
        too_few, enough = enough, min(2 * enough, MOST_PROMPTS)
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if power_of_decision(conditions, middle, alpha=alpha, design=design) >= power:
            enough = middle
        else:
            too_few = middle
    return enough


def more_prompts_needed(
    value: float, end: float, limit: float, n: int, *, expected: float | None = None
) -> int | None:
    """How many prompts more, of the same design, until the interval's end would clear the limit; 0 if it does now.

    Further prompts are taken to have the observed value if it is on the right side of the limit, and `expected` if not (0
    for a change: none in truth). The distance of the end from the value shrinks with 1 / sqrt(n). None if no number helps:
    the value further prompts would have is at the limit or beyond it.
    """
    side = 1 if end > value else -1  # of the value on which the end lies, and beyond it the limit
    if side * (limit - end) > 0:
        return 0
    further = value if side * (limit - value) > 0 else expected
    if further is None or side * (limit - further) <= 0:
        return None
    excess, width, room = side * (value - further), abs(end - value), side * (limit - further)
    # excess * s^2 + width * s = room, with s = sqrt(n / number of prompts needed)
    s = 2 * room / (width + math.sqrt(width**2 + 4 * excess * room))
    return math.floor(n / s**2) + 1 - n


def _power(condition: Condition, num_prompts: int, alpha: float, design: Design) -> float:
    _, low, high = condition.limits(design, num_prompts, 2 * alpha)
    room = condition.limit - high if condition.limit > condition.mean else low - condition.limit
    error = math.sqrt(condition.variance * design.effect / num_prompts)
    return NormalDist().cdf(room / error) if error else float(room > 0)
