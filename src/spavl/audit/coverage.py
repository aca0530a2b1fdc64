"""What the former version had and this one lacks, and slices in which rows are lost. Pure.

Names are ids of classes, kinds of questions and sources; `may_miss` (dataset.may_miss in the profile) holds those whose
absence is meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence

MIN_ROWS = 20  # of a slice whose share is looked at: below that one row is a twentieth
MIN_CLASS = 4  # former images of a class whose loss is looked at


def num_missing(
    now: Collection[str], before: Collection[str] | None, may_miss: Collection[str]
) -> float | None:
    """Names that were there before, are not now, and may not be missing; None without a former version."""
    return None if before is None else float(len(set(before) - set(now) - set(may_miss)))


def worst_share(flags: Sequence[bool], *slices: Sequence[Hashable]) -> float | None:
    """The largest share of rows with the flag over all values of all slices of at least MIN_ROWS; None without any."""
    shares = []
    for names in slices:
        rows, flagged = Counter(names), Counter(name for name, flag in zip(names, flags, strict=True) if flag)
        shares += [flagged[name] / number for name, number in rows.items() if number >= MIN_ROWS]
    return max(shares, default=None)


def without(expected: Iterable[str], found: Collection[str], may_miss: Collection[str]) -> float:
    """How many of the expected names are not found and may not be missing."""
    return float(len(set(expected) - set(found) - set(may_miss)))
