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
    counts = _value_counts(rows, domain)
    value = _alpha(counts, domain, level)
    differs = [a != b for a, b, _ in rows]
    low, high = _resampled(counts, [row[2] for row in rows], domain, level, alpha, seed)
    if level == "nominal" or not any(differs):
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


def _value_counts(rows: Sequence[tuple[Hashable, ...]], domain: Sequence[Hashable]) -> np.ndarray:
    """How often each label of the domain [V] was given to each item [N]."""
    import numpy as np

    place = {label: number for number, label in enumerate(domain)}
    counts = np.zeros((len(rows), len(domain)), dtype=int)
    for number, (a, b, _) in enumerate(rows):
        counts[number, place[a]] += 1
        counts[number, place[b]] += 1
    return counts


def _alpha(counts: np.ndarray, domain: Sequence[Hashable], level: str) -> float:
    import krippendorff

    values = range(len(domain)) if level == "nominal" else domain
    return float(
        krippendorff.alpha(value_counts=counts, value_domain=list(values), level_of_measurement=level)
    )


def _resampled(
    counts: np.ndarray,
    clusters: Sequence[Hashable],
    domain: Sequence[Hashable],
    level: str,
    alpha: float,
    seed: int,
) -> tuple[float, float]:
    """Ends of the percentile interval over draws of whole clusters (Davison & Hinkley 1997, section 3.8)."""
    import numpy as np

    items_of: dict[Hashable, list[int]] = {}
    for item, cluster in enumerate(clusters):
        items_of.setdefault(cluster, []).append(item)
    groups = [np.array(items) for items in items_of.values()]
    draw, values = np.random.default_rng(seed), []
    for _ in range(NUM_RESAMPLES):
        drawn = counts[np.concatenate([groups[k] for k in draw.integers(len(groups), size=len(groups))])]
        if (drawn.sum(0) > 0).sum() > 1:
            values.append(_alpha(drawn, domain, level))
    low, high = np.quantile(values, [alpha / 2, 1 - alpha / 2]) if values else (-1.0, 1.0)
    return float(low), float(high)


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
