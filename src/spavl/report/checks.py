"""The report of a suite in words: each expectation with the value seen, the limit and the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Expected:
    """One expectation and how it went."""

    label: str
    severity: str
    status: str  # pass, fail or inconclusive
    seen: str
    limit: str
    reason: str
    row_ids: tuple[str, ...]  # some of the rows that are not as expected
    needs: str = ""  # what would settle an inconclusive one

    @property
    def has_passed(self) -> bool:
        return self.status == "pass"

    @property
    def is_blocking(self) -> bool:
        return not self.has_passed and self.severity == "critical"

    @property
    def in_words(self) -> str:
        """One sentence: which, the value seen, the limit, the reason, and what would settle it."""
        needs = f"; {self.needs}" if self.needs else ""
        return f"{self.label}: seen {self.seen}, limit {self.limit} ({self.reason}){needs}"


def expectations_of(check: Mapping[str, Any]) -> list[Expected]:
    """All expectations of a suite's report; those that did not pass first, critical before warnings, failed before inconclusive."""
    found = [_expected(result) for result in check.get("results") or []]
    rank = {"critical": 0, "warning": 1}
    return sorted(found, key=lambda one: (one.has_passed, rank.get(one.severity, 2), one.status != "fail"))


def failures_in_words(check: Mapping[str, Any]) -> list[str]:
    """One sentence per expectation that did not pass; a warning and an inconclusive one say that they are."""
    failed = [one for one in expectations_of(check) if not one.has_passed]
    return [f"{_weight(one)}{one.in_words}" for one in failed]


def _weight(one: Expected) -> str:
    if not one.is_blocking:
        return f"{one.severity}: "
    return "inconclusive: " if one.status == "inconclusive" else ""


def verdict_of(check: Mapping[str, Any]) -> str:
    """passed, failed, inconclusive, warnings, or "" where no check ran."""
    if not check:
        return ""
    found = expectations_of(check)
    blocking = {one.status for one in found if one.is_blocking}
    if "fail" in blocking or (check.get("passed") is False and not blocking):
        return "failed"
    if blocking:
        return "inconclusive"
    return "passed" if all(one.has_passed for one in found) else "warnings"


def _expected(result: Mapping[str, Any]) -> Expected:
    # by name and with get: a page must also open for a run whose check was written by another version of spavl
    return Expected(
        label=str(result.get("expectation", "?")),
        severity=str(result.get("severity", "critical")),
        status=str(result.get("status") or ("pass" if result.get("passed") else "fail")),
        seen=str(result.get("saw", "not recorded")),
        limit=str(result.get("limit", "not recorded")),
        reason=str(result.get("reason", "")),
        row_ids=tuple(map(str, result.get("row_ids") or ())),
        needs=str(result.get("needs") or ""),
    )
