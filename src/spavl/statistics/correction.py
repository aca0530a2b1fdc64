"""A share as a judge saw it, corrected for the judge's own errors."""

from __future__ import annotations

import math

from spavl.statistics.interval import Interval


def corrected_rate(
    hits: float,
    n: float,
    *,
    sensitivity: tuple[float, float],
    specificity: tuple[float, float],
    alpha: float = 0.05,
) -> Interval | None:
    """True share behind hits out of n, given the judge's own (right, asked) on known positives and known negatives.

    The value is Rogan & Gladen's (1978, American Journal of Epidemiology 107:71): (share + specificity - 1) /
    (sensitivity + specificity - 1), cut to 0..1. The interval is Lang & Reiczigel's (2014, Preventive Veterinary Medicine
    113:13), which carries the uncertainty of all three. If all of it lies below 0 or above 1, the judge errs less on these
    prompts than on its known ones; then the other end is that of a judge that never errs. With clustered prompts give the effective
    n and n times the share. None if sensitivity + specificity <= 1: such a judge says no more than a coin.
    """
    for name, (part, whole) in {
        "rate": (hits, n),
        "sensitivity": sensitivity,
        "specificity": specificity,
    }.items():
        if not 0 <= part <= whole or whole <= 0:
            raise ValueError(f"{name}: {part} out of {whole}; it takes 0 <= part <= whole and whole > 0")
    if sensitivity[0] / sensitivity[1] + specificity[0] / specificity[1] <= 1:
        return None
    value = _cut(_rogan_gladen(hits / n, sensitivity[0] / sensitivity[1], specificity[0] / specificity[1]))
    low, high = _lang_reiczigel(hits, n, sensitivity, specificity, alpha)
    return Interval(value, min(low, value), max(high, value))


def _rogan_gladen(share: float, sensitivity: float, specificity: float) -> float:
    return (share + specificity - 1) / (sensitivity + specificity - 1)


def _cut(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _lang_reiczigel(
    hits: float, n: float, sensitivity: tuple[float, float], specificity: tuple[float, float], alpha: float
) -> tuple[float, float]:
    """Their section 2: z^2 more prompts (half of them hits), one more right and one more wrong item for each accuracy."""
    from statistics import NormalDist

    z = NormalDist().inv_cdf(1 - alpha / 2)
    n_adjusted = n + z**2
    share = (hits + z**2 / 2) / n_adjusted
    sens = (sensitivity[0] + 1) / (sensitivity[1] + 2)
    spec = (specificity[0] + 1) / (specificity[1] + 2)
    youden = sens + spec - 1
    if youden <= 0:
        return 0.0, 1.0
    true = _rogan_gladen(share, sens, spec)
    from_share = share * (1 - share) / n_adjusted
    from_sens = sens * (1 - sens) / (sensitivity[1] + 2)
    from_spec = spec * (1 - spec) / (specificity[1] + 2)
    error = math.sqrt(from_share + true**2 * from_sens + (1 - true) ** 2 * from_spec) / youden
    shift = 2 * z**2 * (true * from_sens - (1 - true) * from_spec)
    low, high, half = true + shift - z * error, true + shift + z * error, z * math.sqrt(from_share)
    if high <= 0:
        high = share + half
    if low >= 1:
        low = share - half
    return _cut(low), _cut(high)
