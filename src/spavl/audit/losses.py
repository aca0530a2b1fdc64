"""Rows lost more often in one group than elsewhere: unread answers, dropped pairs. A small group vanishes in the mean."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.audit.excess import Group, excess_of_counts

MIN_GAP = 0.3


def losing_groups(counts: Mapping[str, tuple[int, int]]) -> list[Group]:
    """Groups, of any one kind, in which images lose at least half of their rows far more often than in the others.

    counts: a group such as "leaf=<id>" -> (images that lost at least half of their rows there, images).
    """
    by_kind: dict[str, dict[str, tuple[int, int]]] = {}
    for group, counted in counts.items():
        by_kind.setdefault(group.split("=")[0], {})[group] = counted
    found: list[Group] = []
    for kind in sorted(by_kind):
        groups = excess_of_counts(by_kind[kind], min_gap=MIN_GAP)
        found += [group for group in groups if group.is_excess]
    return found
