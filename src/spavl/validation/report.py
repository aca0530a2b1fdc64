"""What a suite found, in plain words: numbers, limits, reasons and row ids, never a cell with content."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

STATUSES = ("pass", "fail", "inconclusive")


@dataclass(frozen=True)
class Result:
    """One expectation's result."""

    expectation: str  # type(columns where condition)
    severity: str  # critical, warning, info
    passed: bool  # status is pass
    saw: str  # the value in words
    limit: str  # what it had to be, in words
    reason: str
    observed: float | None  # the value, where it is one number
    unexpected_count: int | None  # rows that are not as expected, where rows were looked at
    unexpected_percent: float | None  # of the rows looked at, 0 to 100
    row_ids: tuple[str, ...]  # some of those rows
    status: str = ""  # one of STATUSES; "" in a report of an older version
    needs: str = ""  # what would settle an inconclusive one, in words

    def __post_init__(self) -> None:
        if not self.status:
            object.__setattr__(self, "status", "pass" if self.passed else "fail")

    def line(self) -> str:
        """`type(columns) saw …, limit … (reason)`, and what it needs if it is inconclusive."""
        needs = f"; {self.needs}" if self.needs else ""
        return f"{self.expectation} saw {self.saw}, limit {self.limit} ({self.reason}){needs}"


@dataclass(frozen=True)
class Report:
    """One suite's results on one table, in the order of the suite."""

    suite: str  # the stage
    sha256: str  # of the suite's text
    passed: bool  # verdict is pass: every critical expectation did
    num_rows: int
    results: tuple[Result, ...]

    @property
    def verdict(self) -> str:
        """fail if a critical expectation failed, else inconclusive if one is, else pass."""
        critical = {result.status for result in self.results if result.severity == "critical"}
        return next((status for status in ("fail", "inconclusive") if status in critical), "pass")

    def failures(self, severity: str | None = None) -> list[Result]:
        """The results that did not pass, critical ones first; of one severity where given."""
        failed = [
            result for result in self.results if not result.passed and severity in (None, result.severity)
        ]
        return sorted(failed, key=lambda result: (result.severity != "critical", result.status != "fail"))

    def one_line(self) -> str:
        """The first failure with its value and limit and how many more there are, or how many passed."""
        failed = self.failures()
        if not failed:
            return f"{self.suite}: all {len(self.results)} expectations passed"
        more = f", and {len(failed) - 1} more failed" if len(failed) > 1 else ""
        weight = "" if not self.passed else f"{failed[0].severity}: "
        if self.verdict == "inconclusive":
            weight = "inconclusive: "
        return f"{self.suite}: {weight}{failed[0].line()}{more}"

    def to_json(self) -> dict[str, Any]:
        """JSON values only; `Report.from_json` reads it back."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> Report:
        results = tuple(
            Result(**{**result, "row_ids": tuple(result["row_ids"])}) for result in values["results"]
        )
        return Report(**{**values, "results": results})
