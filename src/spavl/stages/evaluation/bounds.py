"""A share, or a paired change, with the 95 % interval for people and the two one-sided bounds that the gate reads. By image.

Answers without a verdict are left out of value and interval. In the bounds they count as the worst case of either side: the
lower bound takes all of them as 0, the upper one as 1 (of a change: for the new model, and the other way round for the old
one; Manski 1990, American Economic Review 80:319). So a judge that is silent about bad answers cannot help a model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

ALPHA_FOR_PEOPLE = 0.05  # two-sided


class Bounds(NamedTuple):
    """All of one score but its name."""

    value: float
    low: float
    high: float
    gate_low: float
    gate_high: float
    n: int  # with a verdict


def rate_bounds(values: np.ndarray, images: np.ndarray, alpha: float) -> Bounds | None:
    """Bounds of the mean of values [N] (1, 0, NaN without a verdict) with the number of each one's image [N].

    alpha is one-sided, of each gate bound. None if there is no verdict at all.
    """
    return _bounds(_rate, values, _filled(values, 0.0), _filled(values, 1.0), images, alpha)


def change_bounds(new: np.ndarray, old: np.ndarray, images: np.ndarray, alpha: float) -> Bounds | None:
    """Bounds of the mean of new - old, two models' values [N] for the same prompts and samples; as `rate_bounds`."""
    lowest, highest = (_filled(new, worst) - _filled(old, 1 - worst) for worst in (0.0, 1.0))
    return _bounds(_change, new - old, lowest, highest, images, alpha)


def difference_bounds(differences: np.ndarray, images: np.ndarray, alpha: float) -> Bounds | None:
    """Bounds of the mean of differences [N], each -1, 0, 1 or NaN; those without a verdict count as -1 and as 1."""
    lowest, highest = (_filled(differences, worst) for worst in (-1.0, 1.0))
    return _bounds(_change, differences, lowest, highest, images, alpha)


def _filled(values: np.ndarray, worst: float) -> np.ndarray:
    import numpy as np

    return np.where(np.isnan(values), worst, values)


def _bounds(
    interval: Callable[[np.ndarray, np.ndarray, float], tuple[float, float, float]],
    values: np.ndarray,
    lowest: np.ndarray,
    highest: np.ndarray,
    images: np.ndarray,
    alpha: float,
) -> Bounds | None:
    """`lowest` and `highest` are the values with the worst case of either side in the place of NaN."""
    import numpy as np

    has_verdict = ~np.isnan(values)
    n = int(has_verdict.sum())
    if not n:
        return None
    value, low, high = interval(values[has_verdict], images[has_verdict], ALPHA_FOR_PEOPLE)
    _, gate_low, gate_high = interval(lowest, images, 2 * alpha)
    if n < len(values):
        _, _, gate_high = interval(highest, images, 2 * alpha)
    # an end that floating point puts on the wrong side of the value by 1e-17 is the value
    return Bounds(value, min(low, value), max(high, value), min(gate_low, value), max(gate_high, value), n)


def _rate(values: np.ndarray, images: np.ndarray, alpha: float) -> tuple[float, float, float]:
    from spavl.statistics.rates import rate_limits

    sums, sizes = _by_image(values, images)
    value, low, high = rate_limits(sums, sizes, alpha)
    return float(value), float(low), float(high)


def _change(differences: np.ndarray, images: np.ndarray, alpha: float) -> tuple[float, float, float]:
    from spavl.statistics.changes import change_limits

    ups, sizes = _by_image(differences > 0, images)
    downs, _ = _by_image(differences < 0, images)
    value, low, high = change_limits(ups, downs, sizes, alpha)
    return float(value), float(low), float(high)


def _by_image(values: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and sizes [C] of the images that are there."""
    import numpy as np

    sizes = np.bincount(images)
    there = sizes > 0
    return np.bincount(images, weights=values)[there], sizes[there].astype("float64")
