"""Groups in which something happens more often than elsewhere: one test per group, corrected for their number.

Fisher's exact test, one-sided (hypergeometric), each group against all others together; Benjamini and Hochberg 1995 keeps the
expected share of false alarms among the groups named at `fdr`. A group must also be `min_gap` above the others: with enough
rows a difference that matters to nobody is significant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

FDR = 0.01

Unit = TypeVar("Unit", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Group:
    """Of `num_units` units of this group, `num_hits` are hits; rate_low and rate_high are Clopper and Pearson's 95 % interval."""

    name: str
    num_hits: int
    num_units: int
    rate_elsewhere: float
    rate_low: float
    rate_high: float
    p_value: float
    is_excess: bool

    @property
    def rate(self) -> float:
        return self.num_hits / self.num_units

    def as_details(self) -> dict[str, Any]:
        """JSON for a record: names, counts and shares."""
        names = ("name", "num_hits", "num_units", "rate_elsewhere", "rate_low", "rate_high", "p_value")
        return {name: getattr(self, name) for name in names}


def mostly(hits: Iterable[bool], units: Iterable[Unit]) -> dict[Unit, bool]:
    """Unit -> whether at least half of its rows are hits: rows of one image are no independent witnesses."""
    rows: dict[Unit, list[bool]] = defaultdict(list)
    for hit, unit in zip(hits, units, strict=True):
        rows[unit].append(bool(hit))
    return {unit: 2 * sum(found) >= len(found) for unit, found in rows.items()}


def groups_in_excess(
    hits: Sequence[bool], groups: Sequence[str], *, min_gap: float, min_hits: int = 3, fdr: float = FDR
) -> list[Group]:
    """Every group, the most suspicious first; one unit per entry of `hits` and `groups`."""
    return excess_of_counts(counts_of(hits, groups), min_gap=min_gap, min_hits=min_hits, fdr=fdr)


def counts_of(hits: Sequence[bool], groups: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Group -> (hits, units)."""
    found: dict[str, list[bool]] = defaultdict(list)
    for hit, group in zip(hits, groups, strict=True):
        found[group].append(bool(hit))
    return {name: (sum(of_group), len(of_group)) for name, of_group in found.items()}


def excess_of_counts(
    counts: Mapping[str, tuple[int, int]], *, min_gap: float, min_hits: int = 3, fdr: float = FDR
) -> list[Group]:
    """The same of groups that are counted already: name -> (hits, units)."""
    counts = dict(sorted(counts.items()))
    p_values = _p_values(counts)
    rejected = dict(zip(counts, _is_rejected(list(p_values.values()), fdr), strict=True))
    made = []
    for name, (num_hits, num_units) in counts.items():
        elsewhere = _rate_elsewhere(counts, name)
        low, high = _interval(num_hits, num_units)
        is_excess = rejected[name] and num_hits >= min_hits and num_hits / num_units - elsewhere >= min_gap
        made.append(Group(name, num_hits, num_units, elsewhere, low, high, p_values[name], is_excess))
    return sorted(made, key=lambda group: (group.p_value, group.name))


def _interval(num_hits: int, num_units: int) -> tuple[float, float]:
    """Clopper and Pearson 1934, 95 %: quantiles of two beta distributions."""
    from scipy.special import betaincinv

    num_others = num_units - num_hits
    low = float(betaincinv(num_hits, num_others + 1, 0.025)) if num_hits else 0.0
    high = float(betaincinv(num_hits + 1, num_others, 0.975)) if num_others else 1.0
    return low, high


def _p_values(counts: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    from scipy.stats import hypergeom

    all_hits, all_units = (sum(column) for column in zip(*counts.values(), strict=True)) if counts else (0, 0)
    return {
        name: float(hypergeom.sf(num_hits - 1, all_units, all_hits, num_units))
        for name, (num_hits, num_units) in counts.items()
    }


def _rate_elsewhere(counts: Mapping[str, tuple[int, int]], name: str) -> float:
    hits = sum(of_group for other, (of_group, _) in counts.items() if other != name)
    units = sum(of_group for other, (_, of_group) in counts.items() if other != name)
    return hits / units if units else 0.0


def _is_rejected(p_values: Sequence[float], fdr: float) -> list[bool]:
    from scipy.stats import false_discovery_control

    if not p_values:
        return []
    return [bool(adjusted <= fdr) for adjusted in false_discovery_control(p_values)]
