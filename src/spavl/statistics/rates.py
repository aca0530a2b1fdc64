"""The interval of a share, by cluster."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from spavl.statistics.clusters import (
    Layout,
    check_alpha,
    cluster_sums,
    clusters_seen,
    design_effect,
    t_over_z,
)
from spavl.statistics.interval import Interval

if TYPE_CHECKING:
    import numpy as np


def rate_interval(hits: Sequence[bool], clusters: Sequence[Hashable], *, alpha: float = 0.05) -> Interval:
    """Share of hits with its two-sided 1 - alpha interval (alpha / 2 for each end), by cluster; never without width.

    Clopper-Pearson on the effective number of prompts with Student's t (Korn & Graubard 1998, Survey Methodology 24:193),
    the design effect shrunk to its worst case. Raises ValueError for no hits, unequal lengths or an alpha outside (0, 1).
    """
    check_alpha(alpha)
    return Interval(*(float(end) for end in rate_limits(*cluster_sums(hits, clusters), alpha)))


def rate_limits(
    sums: np.ndarray, sizes: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, low and high [...] of many samples at once: hits sums [..., C] of clusters with sizes [C]."""
    layout = Layout.of(sizes)
    value = sums.sum(-1) / layout.num_prompts
    squares = ((sums - value[..., None] * sizes) ** 2).sum(-1)
    return value, *limits_of_share(value, squares, clusters_seen(sums, sizes), layout, alpha)


def limits_of_share(
    value: np.ndarray, squares: np.ndarray, num_seen: np.ndarray, layout: Layout, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of a share whose clusters have these squares and num_seen (see `design_effect`)."""
    effect = design_effect(squares, value * (1 - value), num_seen, layout)
    effective_n = layout.num_prompts / effect / t_over_z(layout.num_clusters, alpha) ** 2
    return clopper_pearson(value * effective_n, effective_n, alpha)


def clopper_pearson(num_hits: np.ndarray, n: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of num_hits out of n, which need not be whole (Clopper & Pearson 1934, Biometrika 26:404)."""
    import numpy as np
    from scipy import special

    num_hits, n = np.broadcast_arrays(np.asarray(num_hits, dtype=float), np.asarray(n, dtype=float))
    misses = np.maximum(n - num_hits, 0)
    has_hit, has_miss = num_hits > 1e-12, misses > 1e-12
    low = np.where(has_hit, special.betaincinv(np.where(has_hit, num_hits, 1), misses + 1, alpha / 2), 0.0)
    high = np.where(
        has_miss, special.betaincinv(num_hits + 1, np.where(has_miss, misses, 1), 1 - alpha / 2), 1.0
    )
    return low, high
