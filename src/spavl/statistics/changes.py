"""The interval of a paired change, by cluster."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from spavl.statistics.clusters import check_alpha, cluster_sums
from spavl.statistics.interval import Interval
from spavl.statistics.rates import rate_limits

if TYPE_CHECKING:
    import numpy as np


def change_interval(
    differences: Sequence[int], clusters: Sequence[Hashable], *, alpha: float = 0.05
) -> Interval:
    """Mean of paired differences (each -1, 0 or 1) with its two-sided 1 - alpha interval, by cluster; never without width.

    Raises ValueError for no differences, another value, unequal lengths or an alpha outside (0, 1).
    """
    check_alpha(alpha)
    if other := set(differences) - {-1, 0, 1}:
        raise ValueError(f"a paired difference of yes and no is -1, 0 or 1, not {min(other)}")
    ups, sizes = cluster_sums([difference == 1 for difference in differences], clusters)
    downs, _ = cluster_sums([difference == -1 for difference in differences], clusters)
    return Interval(*(float(end) for end in change_limits(ups, downs, sizes, alpha)))


def change_limits(
    ups: np.ndarray, downs: np.ndarray, sizes: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, low and high [...] of many samples at once: ups and downs [..., C] of clusters with sizes [C].

    The two rates' own intervals make that of their difference (MOVER: Zou & Donner 2008, Statistics in Medicine 27:1693).
    """
    import numpy as np

    up, up_low, up_high = rate_limits(ups, sizes, alpha)
    down, down_low, down_high = rate_limits(downs, sizes, alpha)
    low = up - down - np.hypot(up - up_low, down_high - down)
    high = up - down + np.hypot(up_high - up, down - down_low)
    return up - down, np.maximum(low, -1.0), np.minimum(high, 1.0)
