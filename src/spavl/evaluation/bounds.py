"""A share, or a paired change, with the 95 % interval for people and the two one-sided bounds that the gate reads. By image.

Answers without a verdict are left out of value and interval. In the bounds they count as the worst case of either side: the
lower bound takes all of them as 0, the upper one as 1 (of a change: for the new model, and the other way round for the old
one; Manski 1990, American Economic Review 80:319). So a judge that is silent about bad answers cannot help a model.
"""

from __future__ import annotations

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
    import numpy as np

    has_verdict = ~np.isnan(values)
    if not has_verdict.any():
        return None
    value, low, high = _rate(values[has_verdict], images[has_verdict], ALPHA_FOR_PEOPLE)
    _, gate_low, _ = _rate(np.nan_to_num(values, nan=0.0), images, 2 * alpha)
    _, _, gate_high = _rate(np.nan_to_num(values, nan=1.0), images, 2 * alpha)
    return _ordered(value, low, high, gate_low, gate_high, int(has_verdict.sum()))


def change_bounds(new: np.ndarray, old: np.ndarray, images: np.ndarray, alpha: float) -> Bounds | None:
    """Bounds of the mean of new - old, two models' values [N] for the same prompts and samples; as `rate_bounds`."""
    import numpy as np

    has_verdict = ~(np.isnan(new) | np.isnan(old))
    if not has_verdict.any():
        return None
    value, low, high = _change((new - old)[has_verdict], images[has_verdict], ALPHA_FOR_PEOPLE)
    lowest = np.nan_to_num(new, nan=0.0) - np.nan_to_num(old, nan=1.0)
    highest = np.nan_to_num(new, nan=1.0) - np.nan_to_num(old, nan=0.0)
    _, gate_low, _ = _change(lowest, images, 2 * alpha)
    _, _, gate_high = _change(highest, images, 2 * alpha)
    return _ordered(value, low, high, gate_low, gate_high, int(has_verdict.sum()))


def difference_bounds(differences: np.ndarray, images: np.ndarray, alpha: float) -> Bounds | None:
    """Bounds of the mean of differences [N], each -1, 0, 1 or NaN; those without a verdict count as -1 and as 1."""
    import numpy as np

    has_verdict = ~np.isnan(differences)
    if not has_verdict.any():
        return None
    value, low, high = _change(differences[has_verdict], images[has_verdict], ALPHA_FOR_PEOPLE)
    _, gate_low, _ = _change(np.nan_to_num(differences, nan=-1.0), images, 2 * alpha)
    _, _, gate_high = _change(np.nan_to_num(differences, nan=1.0), images, 2 * alpha)
    return _ordered(value, low, high, gate_low, gate_high, int(has_verdict.sum()))


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


def _ordered(value: float, low: float, high: float, gate_low: float, gate_high: float, n: int) -> Bounds:
    """Ends that floating point puts on the wrong side of the value by 1e-17 are the value."""
    return Bounds(value, min(low, value), max(high, value), min(gate_low, value), max(gate_high, value), n)
