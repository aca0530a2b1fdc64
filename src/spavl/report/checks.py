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
    has_passed: bool
    seen: str
    limit: str
    reason: str
    row_ids: tuple[str, ...]  # some of the rows that are not as expected

    @property
    def is_blocking(self) -> bool:
        return not self.has_passed and self.severity == "critical"


def expectations_of(check: Mapping[str, Any]) -> list[Expected]:
    """All expectations of a suite's report; failed ones first, critical before warnings."""
    found = [_expected(result) for result in check.get("results") or []]
    rank = {"critical": 0, "warning": 1}
    return sorted(found, key=lambda one: (one.has_passed, rank.get(one.severity, 2)))


def failures_in_words(check: Mapping[str, Any]) -> list[str]:
    """One sentence per expectation that failed: which, the value seen, the limit, the reason; a warning says that it is one."""
    failed = [one for one in expectations_of(check) if not one.has_passed]
    return [
        f"{'' if one.is_blocking else f'{one.severity}: '}{one.label}: seen {one.seen}, limit {one.limit} ({one.reason})"
        for one in failed
    ]


def verdict_of(check: Mapping[str, Any]) -> str:
    """passed, failed, warnings, or "" where no check ran."""
    if not check:
        return ""
    found = expectations_of(check)
    if any(one.is_blocking for one in found) or check.get("passed") is False:
        return "failed"
    return "passed" if all(one.has_passed for one in found) else "warnings"


def _expected(result: Mapping[str, Any]) -> Expected:
    # by name and with get: a page must also open for a run whose check was written by another version of spavl
    return Expected(
        label=str(result.get("expectation", "?")),
        severity=str(result.get("severity", "critical")),
        has_passed=bool(result.get("passed")),
        seen=str(result.get("saw", "not recorded")),
        limit=str(result.get("limit", "not recorded")),
        reason=str(result.get("reason", "")),
        row_ids=tuple(map(str, result.get("row_ids") or ())),
    )
