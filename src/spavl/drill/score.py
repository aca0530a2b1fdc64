"""The kill rate of a drill, and its false alarms. Pure.

A poison is killed if it was stopped before release by something that does not stop honest nights as well: an expectation
that fails on the control or on most honest nights kills nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from spavl.drill.finding import Finding

Z = 1.959964  # two-sided 95 %


@dataclass(frozen=True)
class Share:
    """hits of n, with the 95 % interval of Wilson (JASA 22, 1927)."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """(low, high); (0, 1) if nothing was tried."""
        if not self.n:
            return 0.0, 1.0
        centre = (self.hits + Z**2 / 2) / (self.n + Z**2)
        half = Z / (self.n + Z**2) * math.sqrt(self.hits * (self.n - self.hits) / self.n + Z**2 / 4)
        return max(0.0, centre - half), min(1.0, centre + half)

    def words(self) -> str:
        low, high = self.interval
        return f"{self.hits} of {self.n} ({self.value:.1%}, interval {low:.1%} to {high:.1%})"


@dataclass(frozen=True)
class Score:
    """What a whole drill says."""

    killed: tuple[Finding, ...]
    released: tuple[Finding, ...]
    unproven: tuple[Finding, ...]  # stopped, but by nothing that lets honest nights pass
    impossible: tuple[Finding, ...]
    honest: tuple[Finding, ...]

    @property
    def kill_rate(self) -> Share:
        tried = len(self.killed) + len(self.released) + len(self.unproven)
        return Share(len(self.killed), tried)

    @property
    def false_alarms(self) -> Share:
        """Honest nights that failed, were refused or crashed."""
        return Share(sum(night.verdict in ("failed", "refused", "crashed") for night in self.honest), len(self.honest))  # fmt: skip

    @property
    def inconclusive_nights(self) -> Share:
        return Share(sum(night.verdict == "inconclusive" for night in self.honest), len(self.honest))


def score(findings: Sequence[Finding], honest: Sequence[Finding]) -> Score:
    """The score of these findings; `honest` are control and honest nights."""
    suspect = noisy_checks(honest)
    parts: dict[str, list[Finding]] = {"killed": [], "released": [], "unproven": [], "impossible": []}
    for finding in findings:
        parts[_part(finding, suspect)].append(finding)
    return Score(**{name: tuple(part) for name, part in parts.items()}, honest=tuple(honest))


def noisy_checks(honest: Sequence[Finding]) -> frozenset[str]:
    """Checks that do not pass on more than a quarter of the honest nights."""
    seen = Counter(check for finding in honest for check in set(finding.checks))
    return frozenset(check for check, count in seen.items() if count > len(honest) / 4)


def _part(finding: Finding, suspect: frozenset[str]) -> str:
    if finding.verdict == "impossible":
        return "impossible"
    if not finding.is_stopped:
        return "released"
    is_noise = finding.failures and all(check in suspect for check in finding.checks)
    return "unproven" if is_noise else "killed"
