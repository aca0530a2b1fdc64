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

NUM_BINS = 10


def psi(
    now: Iterable[Hashable], before: Iterable[Hashable], units: tuple[int, int] | None = None
) -> tuple[float, float]:
    """(index, what of it is beyond chance) of two samples of categories, neither of them empty.

    `units`: how many independent draws each sample is, by default its rows.
    """
    found, former = Counter(now), Counter(before)
    categories = found.keys() | former.keys()
    smoothed = len(categories) / 2
    index = 0.0
    for category in categories:
        share = (found[category] + 0.5) / (found.total() + smoothed)
        share_before = (former[category] + 0.5) / (former.total() + smoothed)
        index += (share - share_before) * math.log(share / share_before)
    num_now, num_before = units or (found.total(), former.total())
    chance = (len(categories) - 1) * (1 / num_now + 1 / num_before)
    return index, max(0.0, index - chance)


def binned(now: Sequence[float], before: Sequence[float]) -> tuple[list[int], list[int]]:
    """Both samples as numbers of NUM_BINS bins between quantiles of the former one."""
    import numpy as np

    edges = np.unique(np.quantile(before, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    return tuple(np.searchsorted(edges, sample, side="right").tolist() for sample in (now, before))


def drift(
    now: Mapping[str, Sequence[Hashable]],
    before: Mapping[str, Sequence[Hashable]] | None,
    units: tuple[int, int] | None = None,
) -> dict[str, float | None]:
    """`psi_<column>` for each column, and `psi_beyond_chance` of the worst; None without a former version.

    Numbers are cut at the former version's deciles, anything else is a category. `units`: how many images each night's
    rows are about, if there are several to an image.
    """
    indices: dict[str, float | None] = dict.fromkeys(f"psi_{name}" for name in now)
    beyond = []
    for name, values in now.items():
        former = (before or {}).get(name)
        if not former or not values:
            continue
        is_number = isinstance(former[0], int | float)
        indices[f"psi_{name}"], excess = psi(
            *(binned(values, former) if is_number else (values, former)), units
        )
        beyond.append(excess)
    return indices | {"psi_beyond_chance": max(beyond, default=None)}
