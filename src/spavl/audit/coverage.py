"""What the former version had and this one lacks, and slices in which rows are lost. Pure.

Names are ids of classes, kinds of questions and sources; `may_miss` (dataset.may_miss in the profile) holds those whose
absence is meant.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

MIN_ROWS = 20  # of a slice whose share is looked at: below that one row is a twentieth
MIN_CLASS = 4  # former images of a class whose loss is looked at


def num_missing(
    now: Collection[str], before: Collection[str] | None, may_miss: Collection[str]
) -> float | None:
    """Names that were there before, are not now, and may not be missing; None without a former version."""
    return None if before is None else float(len(set(before) - set(now) - set(may_miss)))


def largest_lost_share(
    now: Mapping[str, str], before: Mapping[str, str] | None, may_miss: Collection[str]
) -> float | None:
    """Of a class's former images (id -> class), the share that is gone or of another class now; the worst class's.

    Classes with fewer than MIN_CLASS images are not looked at; None if no other is there.
    """
    if before is None:
        return None
    members: dict[str, list[str]] = defaultdict(list)
    for image_id, name in before.items():
        members[name].append(image_id)
    shares = [
        sum(now.get(image_id) != name for image_id in ids) / len(ids)
        for name, ids in members.items()
        if len(ids) >= MIN_CLASS and name not in may_miss
    ]
    return max(shares, default=None)


def relabelled_share(now: Mapping[str, str], before: Mapping[str, str] | None) -> float | None:
    """Of the images of both versions (id -> class), those of another class now; None without any."""
    both = now.keys() & (before or {}).keys()
    return sum(now[image_id] != before[image_id] for image_id in both) / len(both) if both else None


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
