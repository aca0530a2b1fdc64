"""Values grouped by cluster (several prompts share an image), and how many independent draws they are worth."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

PRIOR_CLUSTERS = 2.0  # the fewest with which no interval of the benchmark's grid errs more than it may (4.2 % with 1, for 2.5 %)


def cluster_sums(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values [C] and number of values [C] of each cluster, in the order in which clusters first appear."""
    import numpy as np

    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters: give each value its cluster")
    if not len(values):
        raise ValueError("no values: an interval needs at least one")
    number_of = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    numbers = [number_of[cluster] for cluster in clusters]
    return np.bincount(numbers, weights=np.asarray(values, dtype=float)), np.bincount(numbers).astype(float)


class Layout(NamedTuple):
    """Of prompts in clusters, what intervals need to know.

    Clusters of unequal sizes are worth fewer even ones, num_prompts^2 / sum of sizes^2 (Kish 1965, section 11.7), and need
    more prior: without both, an end erred with 20 % instead of 2.5 % if every sixth cluster was twenty times as large.
    """

    num_prompts: float
    num_clusters: float  # even ones; as many as there are if all have one size
    worst_effect: float  # design effect if values of a cluster are all alike: sum of sizes^2 / num_prompts
    prior: float = PRIOR_CLUSTERS  # more for unequal sizes, in proportion: few large clusters decide then

    @classmethod
    def of(cls, sizes: np.ndarray) -> Layout:
        """sizes [C]: number of values of each cluster."""
        n, squares = float(sizes.sum()), float((sizes**2).sum())
        even = n**2 / squares
        return cls(n, even, squares / n, PRIOR_CLUSTERS * len(sizes) / even)


def clusters_seen(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many even clusters [...] show anything but the commonest outcome; sums [..., C] of clusters with sizes [C]."""
    import numpy as np

    weights = sizes**2 * (Layout.of(sizes).num_clusters / (sizes**2).sum())
    return np.minimum((sums > 0) @ weights, (sums < sizes) @ weights)


def design_effect(
    squares: np.ndarray, variance: np.ndarray, num_seen: np.ndarray, layout: Layout
) -> np.ndarray:
    """Variance of a mean [...] between clusters over that of independent draws, at least 1 and shrunk to its worst.

    squares [...]: sum over clusters of (sum of the cluster - mean * its size)^2; variance [...] of one value; num_seen
    [...]: see `clusters_seen`; only those tell how alike the values of a cluster are. The ratio (Kish 1965, section 8.2) from few such clusters is mostly noise, and 0/0 from none. So it is averaged with
    the worst effect as if `layout.prior` clusters more had shown that.
    """
    import numpy as np

    n, num_clusters, worst, prior = layout
    if num_clusters < 1 + 1e-9:
        return np.full(squares.shape, worst)
    between = squares / n * num_clusters / (num_clusters - 1)
    seen = np.divide(between, variance, out=np.ones_like(between), where=variance > 1e-12)
    return (num_seen * np.maximum(seen, 1) + prior * worst) / (num_seen + prior)


def t_over_z(num_clusters: float, alpha: float) -> float:
    """Two-sided 1 - alpha point of Student's t with one degree of freedom less than clusters, over the normal's."""
    from scipy import special

    return float(special.stdtrit(max(num_clusters - 1, 1), 1 - alpha / 2) / special.ndtri(1 - alpha / 2))


def check_alpha(alpha: float) -> None:
    """Raises ValueError unless 0 < alpha < 1."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: an error rate between 0 and 1, both excluded")
