"""How far two judges agree beyond chance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from spavl.statistics.clusters import check_alpha
from spavl.statistics.interval import Interval
from spavl.statistics.rates import rate_interval

if TYPE_CHECKING:
    import numpy as np

NUM_RESAMPLES = 1000
LEVELS = ("nominal", "ordinal", "interval", "ratio")


def krippendorff_alpha(
    labels_a: Sequence[Hashable],
    labels_b: Sequence[Hashable],
    clusters: Sequence[Hashable],
    *,
    level: str = "nominal",
    alpha: float = 0.05,
    seed: int = 0,
) -> Interval | None:
    """Krippendorff's alpha of two judges' labels (1 agree, 0 chance) with its 1 - alpha interval over clusters.

    None stands for a label that a judge did not give; an item with one label only counts for nothing. The value comes from
    the package `krippendorff` (Krippendorff 2018, Content Analysis, 4th ed., chapter 12). The interval is the percentile
    one of NUM_RESAMPLES draws of whole clusters; a draw in which all labels are one tells nothing and is left out.
    None if there is no value: no item has both labels, or all labels are one (no variation: agreement beyond chance is
    0/0). Callers must treat that as not known, never as agreement.
    """
    check_alpha(alpha)
    _check(labels_a, labels_b, clusters, level)
    rows = [row for row in zip(labels_a, labels_b, clusters, strict=True) if None not in row[:2]]
    domain = sorted({label for row in rows for label in row[:2]}, key=None if level != "nominal" else repr)
    if len(domain) < 2:
        return None
    first, second = _numbers([row[0] for row in rows], domain), _numbers([row[1] for row in rows], domain)
    counts = _value_counts(first, second, len(domain))
    value = _alpha(counts, domain, level)
    of_clusters = _coincidences(first, second, [row[2] for row in rows], len(domain))
    low, high = _resampled(of_clusters, domain, level, alpha, seed)
    differs = first != second
    if level == "nominal" or not differs.any():
        low = min(low, _low_of_rate(differs, [row[2] for row in rows], counts, alpha))
    return Interval(value, min(low, value), max(high, value))


def _check(
    labels_a: Sequence[Hashable], labels_b: Sequence[Hashable], clusters: Sequence[Hashable], level: str
) -> None:
    if not len(labels_a) == len(labels_b) == len(clusters):
        raise ValueError(
            f"{len(labels_a)} and {len(labels_b)} labels of {len(clusters)} clusters: each item takes one of each"
        )
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")


def _numbers(labels: Sequence[Hashable], domain: Sequence[Hashable]) -> np.ndarray:
    """The place [N] of each label in the domain."""
    import numpy as np

    place = {label: number for number, label in enumerate(domain)}
    return np.array([place[label] for label in labels])


def _value_counts(first: np.ndarray, second: np.ndarray, num_values: int) -> np.ndarray:
    """How often each label of the domain [V] was given to each item [N]."""
    import numpy as np

    labels = np.eye(num_values, dtype=int)
    return labels[first] + labels[second]


def _coincidences(
    first: np.ndarray, second: np.ndarray, clusters: Sequence[Hashable], num_values: int
) -> np.ndarray:
    """Krippendorff's coincidences of each cluster's items [C, V, V]; alpha reads their sum over clusters and nothing else."""
    import numpy as np

    number_of = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    of_item = np.array([number_of[cluster] for cluster in clusters])
    size = num_values**2
    places = of_item * size + first * num_values + second
    one_way = np.bincount(places, minlength=len(number_of) * size)
    one_way = one_way.reshape(len(number_of), num_values, num_values).astype("float64")
    return one_way + one_way.transpose(0, 2, 1)


def _alpha(counts: np.ndarray, domain: Sequence[Hashable], level: str) -> float:
    import krippendorff

    values = range(len(domain)) if level == "nominal" else domain
    return float(
        krippendorff.alpha(value_counts=counts, value_domain=list(values), level_of_measurement=level)
    )


def _resampled(
    of_clusters: np.ndarray, domain: Sequence[Hashable], level: str, alpha: float, seed: int
) -> tuple[float, float]:
    """Ends of the percentile interval over draws of whole clusters (Davison & Hinkley 1997, section 3.8)."""
    import numpy as np

    num_clusters, num_values, _ = of_clusters.shape
    flat = of_clusters.reshape(num_clusters, -1)
    draw, found = np.random.default_rng(seed), []
    for _ in range(NUM_RESAMPLES):
        times = np.bincount(draw.integers(num_clusters, size=num_clusters), minlength=num_clusters)
        found.append(times.astype("float64") @ flat)  # whole numbers: exact in any order
    drawn = np.array(found).reshape(-1, num_values, num_values)
    drawn = drawn[(drawn.sum(1) > 0).sum(-1) > 1]
    if not len(drawn):
        return -1.0, 1.0
    low, high = np.quantile(_alphas(drawn, domain, level), [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def _alphas(drawn: np.ndarray, domain: Sequence[Hashable], level: str) -> np.ndarray:
    """Alpha [B] of coincidences [B, V, V], as the package has it of one: 1 - observed / expected distance."""
    import numpy as np

    totals = drawn.sum(1)
    by_chance = totals[:, :, None] * totals[:, None, :] - totals[:, :, None] * np.eye(len(domain))
    by_chance /= (totals.sum(-1) - 1)[:, None, None]
    distances = _distances(totals, domain, level)
    observed, expected = ((c * distances).reshape(len(drawn), -1).sum(-1) for c in (drawn, by_chance))
    return 1 - observed / expected


def _distances(totals: np.ndarray, domain: Sequence[Hashable], level: str) -> np.ndarray:
    """Squared distance of each two labels [V, V]; ordinal ones depend on how often each was given, totals [B, V]: [B, V, V]."""
    import numpy as np

    number = np.arange(len(domain))
    if level == "nominal":
        return (number[:, None] != number).astype("float64")
    if level == "ordinal":
        ends = np.concatenate([np.zeros((len(totals), 1)), totals.cumsum(-1)], axis=1)
        low, high = np.minimum(number[:, None], number), np.maximum(number[:, None], number)
        between = ends[:, high + 1] - ends[:, low]
        return (between - (totals[:, :, None] + totals[:, None, :]) / 2) ** 2
    values = np.asarray(domain, dtype="float64")
    difference, total = values[:, None] - values, values[:, None] + values
    if level == "ratio":
        difference = np.divide(difference, total, out=np.zeros_like(total), where=total != 0)
    return difference**2


def _low_of_rate(
    differs: Sequence[bool], clusters: Sequence[Hashable], counts: np.ndarray, alpha: float
) -> float:
    """Alpha at the upper end of the rate of disagreement: draws from few disagreements, or none, show too little of it.

    Alpha is 1 - observed / expected disagreement. A disagreement that was not seen is taken to be as far as one by chance.
    """
    totals = counts.sum(0)
    total = totals.sum()
    expected = 1 - float((totals * (totals - 1)).sum() / (total * (total - 1)))
    return 1 - rate_interval(differs, clusters, alpha=alpha).high / expected
