"""How far a column's distribution has moved from the former version's. Pure.

Population stability index: the sum over categories of (share now - share before) * ln(share now / share before); Lewis,
An Introduction to Credit Scoring (1994), with his bounds .1 and .25 in use since. Half a row is added to each category,
so that one that is new or gone gives a number. Without any drift it is (categories - 1) * (1 / rows before + 1 / rows now)
on average (Yurdakul and Naranjo, J. of Risk Model Validation 14(4), 2020): a column of many classes seems to drift if
rows are few, so what is beyond that is a number of its own. Rows about one image move together: there, images count.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NUM_BINS = 10


def psi(
    now: Iterable[Hashable], before: Iterable[Hashable], units: tuple[int, int] | None = None
) -> tuple[float, float]:
    """(index, what of it is beyond chance) of two samples of categories, neither of them empty.

    `units`: how many independent draws each sample is, by default its rows.
    """
    return psi_of_counts(Counter(now), Counter(before), units)


def psi_of_counts(
    found: Counter[Hashable], former: Counter[Hashable], units: tuple[int, int] | None = None
) -> tuple[float, float]:
    """`psi` of two samples as category -> number of rows."""
    categories = sorted(
        found.keys() | former.keys(), key=repr
    )  # an order, so that a night's sum is repeatable
    smoothed = len(categories) / 2
    num_now, num_before = found.total(), former.total()
    index = 0.0
    for category in categories:
        share = (found[category] + 0.5) / (num_now + smoothed)
        share_before = (former[category] + 0.5) / (num_before + smoothed)
        index += (share - share_before) * math.log(share / share_before)
    num_now, num_before = units or (num_now, num_before)
    chance = (len(categories) - 1) * (1 / num_now + 1 / num_before)
    return index, max(0.0, index - chance)


def binned(now: Sequence[float], before: Sequence[float]) -> tuple[list[int], list[int]]:
    """Both samples as numbers of NUM_BINS bins between quantiles of the former one."""
    import numpy as np

    edges = _edges(np.asarray(before))
    return tuple(np.searchsorted(edges, sample, side="right").tolist() for sample in (now, before))


def binned_counts(
    now: Mapping[float, int], before: Mapping[float, int]
) -> tuple[Counter[Hashable], Counter[Hashable]]:
    """`binned` of two samples as value -> number of rows."""
    import numpy as np

    edges = _edges(np.repeat(list(before), list(before.values())))

    def of_bins(sample: Mapping[float, int]) -> Counter[Hashable]:
        bins: Counter[Hashable] = Counter()
        for value, number in sample.items():
            bins[int(np.searchsorted(edges, value, side="right"))] += number
        return bins

    return of_bins(now), of_bins(before)


def _edges(before: np.ndarray) -> np.ndarray:
    """Of the bins: the distinct quantiles of `before` [N]."""
    import numpy as np

    return np.unique(np.quantile(before, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))


def drift(
    now: Mapping[str, Sequence[Hashable]],
    before: Mapping[str, Sequence[Hashable]] | None,
    units: tuple[int, int] | None = None,
) -> dict[str, float | None]:
    """`psi_<column>` for each column, and `psi_beyond_chance` of the worst; None without a former version.

    Numbers are cut at the former version's deciles, anything else is a category. `units`: how many images each night's
    rows are about, if there are several to an image.
    """
    found, former = (
        {name: Counter(values) for name, values in columns.items()} for columns in (now, before or {})
    )
    return drift_of_counts(found, former, units)


def drift_of_counts(
    now: Mapping[str, Counter[Any]],
    before: Mapping[str, Counter[Any]] | None,
    units: tuple[int, int] | None = None,
) -> dict[str, float | None]:
    """`drift` of columns as value -> number of rows."""
    indices: dict[str, float | None] = dict.fromkeys(f"psi_{name}" for name in now)
    beyond = []
    for name, found in now.items():
        former = (before or {}).get(name)
        if not former or not found:
            continue
        is_number = isinstance(next(iter(former)), int | float)
        indices[f"psi_{name}"], excess = psi_of_counts(
            *(binned_counts(found, former) if is_number else (found, former)), units
        )
        beyond.append(excess)
    return indices | {"psi_beyond_chance": max(beyond, default=None)}
