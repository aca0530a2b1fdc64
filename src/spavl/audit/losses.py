"""Rows lost more often in one group than elsewhere: unread answers, dropped pairs. A small group vanishes in the mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spavl.audit.excess import Group, groups_in_excess, mostly

MIN_GAP = 0.3


@dataclass(frozen=True, slots=True)
class Row:
    """One row that was made or lost; `groups` are its names, such as "leaf=<id>"."""

    image_id: str
    groups: tuple[str, ...]
    is_lost: bool


def losing_groups(rows: Iterable[Row]) -> list[Group]:
    """Groups, of any one kind, in which images lose at least half of their rows far more often than in the others."""
    by_kind: dict[str, list[tuple[str, str, bool]]] = {}
    for row in rows:
        for group in row.groups:
            by_kind.setdefault(group.split("=")[0], []).append((group, row.image_id, row.is_lost))
    found: list[Group] = []
    for kind in sorted(by_kind):
        units = mostly([lost for _, _, lost in by_kind[kind]], [(g, i) for g, i, _ in by_kind[kind]])
        groups = groups_in_excess(list(units.values()), [group for group, _ in units], min_gap=MIN_GAP)
        found += [group for group in groups if group.is_excess]
    return found
