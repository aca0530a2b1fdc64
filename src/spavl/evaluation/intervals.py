"""95 % intervals of a share and of a paired change. Numbers in, numbers out."""

from __future__ import annotations

import math
from typing import NamedTuple

Z_95 = 1.959963984540054  # 97.5 % point of the standard normal


class Interval(NamedTuple):
    """A point and its 95 % interval, all shares."""

    value: float
    low: float
    high: float


def wilson(num_hits: int, n: int) -> Interval:
    """Score interval of num_hits out of n >= 1 (Wilson 1927, JASA 22:209): sound at 0 %, at 100 % and at small n."""
    share = num_hits / n
    scale = 1 + Z_95**2 / n
    centre = (share + Z_95**2 / (2 * n)) / scale
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2)) / scale
    # at 0 and n the ends are exactly 0 and 1; floating point misses them by 1e-17
    low = 0.0 if num_hits == 0 else centre - half
    high = 1.0 if num_hits == n else centre + half
    return Interval(share, low, high)


def paired_bootstrap(differences: list[int], *, num_resamples: int, seed: int) -> Interval:
    """Mean of paired differences (each -1, 0 or 1; at least one) with the percentile interval of the bootstrap.

    Efron & Tibshirani 1993, chapter 13. Drawing n of n values with replacement, where a value is one of three, is one
    multinomial draw of their counts: the same distribution, without n x num_resamples numbers in memory.
    """
    import numpy as np

    n = len(differences)
    shares = [differences.count(value) / n for value in (-1, 0, 1)]
    counts = np.random.default_rng(seed).multinomial(n, shares, size=num_resamples)
    low, high = np.percentile((counts[:, 2] - counts[:, 0]) / n, [2.5, 97.5])
    return Interval(sum(differences) / n, float(low), float(high))
