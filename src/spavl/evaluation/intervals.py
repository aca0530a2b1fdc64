"""95 % intervals of a share and of a paired change, both by image. Numbers in, numbers out.

Several prompts share an image, so they are no independent draws: what is drawn is images. Treating prompts as independent
would make the intervals too narrow, and the gate too easy.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

Z_95 = 1.959963984540054  # 97.5 % point of the standard normal
_RESAMPLES_AT_ONCE = 500  # of the bootstrap: bounds its memory


class Interval(NamedTuple):
    """A point and its 95 % interval, all shares."""

    value: float
    low: float
    high: float


def clustered_wilson(hits: Sequence[bool], clusters: Sequence[Hashable]) -> Interval:
    """Wilson interval of the share of hits, its n divided by the design effect of the clusters (Kish 1965, section 8.2).

    The design effect is the variance of the share between clusters over that of independent draws, at least 1. Where all
    hits agree it cannot be seen and is 1.
    """
    n, share = len(hits), sum(hits) / len(hits)
    residuals: dict[Hashable, float] = {}
    for hit, cluster in zip(hits, clusters, strict=True):
        residuals[cluster] = residuals.get(cluster, 0.0) + hit - share
    effect = 1.0
    if 0 < share < 1 and len(residuals) > 1:
        between = sum(value**2 for value in residuals.values()) / n**2 * len(residuals) / (len(residuals) - 1)
        effect = max(1.0, between / (share * (1 - share) / n))
    return wilson(sum(hits) / effect, n / effect)


def wilson(num_hits: float, n: float) -> Interval:
    """Score interval of num_hits out of n, an effective number that need not be whole (Wilson 1927, JASA 22:209): sound at 0 %, at 100 % and at small n."""
    share = num_hits / n
    scale = 1 + Z_95**2 / n
    centre = (share + Z_95**2 / (2 * n)) / scale
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2)) / scale
    # at 0 and n the ends are exactly 0 and 1; floating point misses them by 1e-17
    low = 0.0 if num_hits == 0 else centre - half
    high = 1.0 if num_hits == n else centre + half
    return Interval(share, low, high)


def paired_bootstrap(
    differences: Sequence[int], clusters: Sequence[Hashable], *, num_resamples: int, seed: int
) -> Interval:
    """Mean of paired differences (each -1, 0 or 1; at least one) with the percentile interval of the cluster bootstrap.

    Clusters are drawn with replacement, each with all of its differences (Davison & Hinkley 1997, section 3.8). One draw
    of n out of n clusters is one multinomial draw of how often each comes up.
    """
    import numpy as np

    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    sums, sizes = np.zeros(len(numbers)), np.zeros(len(numbers))
    for difference, cluster in zip(differences, clusters, strict=True):
        sums[numbers[cluster]] += difference
        sizes[numbers[cluster]] += 1
    draw = np.random.default_rng(seed)
    means = []
    for start in range(0, num_resamples, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, num_resamples - start)
        times = draw.multinomial(len(numbers), np.full(len(numbers), 1 / len(numbers)), size=size)
        means.append(times @ sums / (times @ sizes))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Interval(sum(differences) / len(differences), float(low), float(high))
