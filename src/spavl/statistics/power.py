"""How likely conditions on intervals hold, and how many held-out prompts they need: said before a night, and after one.

By simulated nights, with the interval functions themselves and a fixed seed, so the same question has the same answer. A
normal approximation was 5 to 9 points too hopeful: a night unlucky enough to lose whole images also shows that its prompts
are worth less.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.statistics.changes import difference_limits
from spavl.statistics.clusters import Layout
from spavl.statistics.rates import limits_of_share

if TYPE_CHECKING:
    import numpy as np

MOST_IMAGES = 2**16  # of one kind that prompts_needed looks at
NUM_NIGHTS = 2000  # standard error of a power of .9: .7 points
SEED = 9


@dataclass(frozen=True)
class Design:
    """How held-out prompts of one kind are drawn."""

    prompts_per_image: int = 3
    icc: float = (
        0.3  # chance that all prompts of an image go the same way together, else each on its own: 0 to 1
    )

    def layout(self, num_prompts: int) -> Layout:
        num_images = -(-num_prompts // self.prompts_per_image)
        return Layout(float(num_images * self.prompts_per_image), num_images, float(self.prompts_per_image))

    def nights(
        self, shares: Sequence[float], layout: Layout, alpha: float
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Of each outcome, which exclude each other: value, low and high in NUM_NIGHTS nights; alpha two-sided."""
        import numpy as np

        patterns, chances = self._patterns(shares)
        draw = np.random.default_rng(SEED)
        times = draw.multinomial(layout.num_clusters, chances, size=NUM_NIGHTS)
        return [self._limits(times, counts, layout, alpha) for counts in patterns.T]

    def _limits(
        self, times: np.ndarray, counts: np.ndarray, layout: Layout, alpha: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """times [nights, patterns] that an image has each pattern, which has counts [patterns] of the outcome."""
        import numpy as np

        value = times @ counts / layout.num_prompts
        squares = times @ counts**2 - layout.num_clusters * (value * self.prompts_per_image) ** 2
        num_seen = np.minimum(times @ (counts > 0), times @ (counts < self.prompts_per_image))
        return value, *limits_of_share(value, squares, num_seen, layout, alpha)

    def _patterns(self, shares: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """What an image's prompts can show: counts of each outcome [patterns, outcomes], and the patterns' chances."""
        import numpy as np

        size, rest = self.prompts_per_image, max(0.0, 1 - sum(shares))
        patterns = [c for c in itertools.product(range(size + 1), repeat=len(shares)) if sum(c) <= size]
        chances = []
        for counts in patterns:
            every = (*counts, size - sum(counts))
            ways = math.factorial(size) / math.prod(map(math.factorial, every))
            own = ways * math.prod(s**c for s, c in zip((*shares, rest), every, strict=True))
            together = (*shares, rest)[every.index(size)] if size in every else 0.0
            chances.append(self.icc * together + (1 - self.icc) * own)
        return np.array(patterns, dtype=float), np.array(chances) / sum(chances)


@dataclass(frozen=True)
class RateCondition:
    """The interval of a share ends below the limit, and the share itself is below value_limit."""

    rate: float  # expected of a good candidate
    limit: float
    value_limit: float = 1.0

    def power(self, num_prompts: int, alpha: float, design: Design) -> float:
        """Chance that it holds; alpha one-sided."""
        ((value, _, high),) = design.nights([self.rate], design.layout(num_prompts), 2 * alpha)
        return float(((high < self.limit) & (value < self.value_limit)).mean())


@dataclass(frozen=True)
class ChangeCondition:
    """The interval of a paired change ends below the limit if the expected change is below it, else above."""

    up: float  # expected share of prompts that go from no to yes
    down: float  # and from yes to no
    limit: float

    def power(self, num_prompts: int, alpha: float, design: Design) -> float:
        """Chance that it holds; alpha one-sided."""
        up, down = design.nights([self.up, self.down], design.layout(num_prompts), 2 * alpha)
        _, low, high = difference_limits(up, down)
        return float((high < self.limit if self.up - self.down < self.limit else low > self.limit).mean())


Condition = RateCondition | ChangeCondition


def power_of_decision(
    conditions: Sequence[Condition], num_prompts: int, *, alpha: float, design: Design | None = None
) -> float:
    """Least chance that all conditions on the same num_prompts hold; alpha is one-sided, that of this decision.

    The chances of the single conditions to fail are added up (Bonferroni), so it errs to the low side.
    """
    design, failing = design or Design(), 0.0
    for condition, times in Counter(conditions).items():
        failing += times * (1 - condition.power(num_prompts, alpha, design))
    return max(0.0, 1 - failing)


def prompts_needed(
    conditions: Sequence[Condition], *, alpha: float, power: float, design: Design | None = None
) -> int | None:
    """Fewest prompts, a whole number of images, with which all hold with that power; None if MOST_IMAGES are too few.

    The power asked for is one standard error of the simulation higher, so that its noise seldom gives too few.
    """
    design = design or Design()
    power = min(power + math.sqrt(power * (1 - power) / NUM_NIGHTS), 1.0)

    def is_enough(num_images: int) -> bool:
        num_prompts = num_images * design.prompts_per_image
        return power_of_decision(conditions, num_prompts, alpha=alpha, design=design) >= power

    too_few, enough = 0, 1
    while not is_enough(enough):
        too_few, enough = enough, 2 * enough
        if enough > MOST_IMAGES:
            return None
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        too_few, enough = (too_few, middle) if is_enough(middle) else (middle, enough)
    return enough * design.prompts_per_image


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
