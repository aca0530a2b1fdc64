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

    The two shares' own intervals (`rate_limits`) make that of their difference (`difference_limits`). Raises ValueError for
    no differences, another value, unequal lengths or an alpha outside (0, 1).
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
    """Value, low and high [...] of many samples at once: ups and downs [..., C] of clusters with sizes [C]."""
    up, down = rate_limits(ups, sizes, alpha), rate_limits(downs, sizes, alpha)
    return difference_limits(up, down)


def difference_limits(
    up: tuple[np.ndarray, np.ndarray, np.ndarray], down: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, low and high of up - down, two shares of the same prompts, each given with its own low and high.

    MOVER with the correlation of two shares that exclude each other (Newcombe 1998, Statistics in Medicine 17:2635, method
    10; Zou & Donner 2008, same journal 27:1693, equation 12): without it the interval of shares of .3 errs 8 % for 5 %.
    """
    import numpy as np

    (share_up, up_low, up_high), (share_down, down_low, down_high) = up, down
    others = (1 - share_up) * (1 - share_down)
    ratio = np.divide(share_up * share_down, others, out=np.ones_like(others), where=others > 0)
    correlation = -np.sqrt(np.minimum(ratio, 1))
    value = share_up - share_down
    low = value - _joined(share_up - up_low, down_high - share_down, correlation)
    high = value + _joined(up_high - share_up, share_down - down_low, correlation)
    return value, np.maximum(low, -1.0), np.minimum(high, 1.0)


def _joined(first: np.ndarray, second: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.sqrt(np.maximum(first**2 + second**2 - 2 * correlation * first * second, 0))
