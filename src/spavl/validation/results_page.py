"""The first page of Data Docs: what each stage's check found, in our words, what was not met on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from spavl.validation.offline_pages import template
from spavl.validation.report import Report, Result


class Checked(NamedTuple):
    """One stage's report, when it was made, and where the site's pages about it are (relative links)."""

    report: Report
    checked_at: str
    page: str
    suite_page: str


def results_page(checked: Sequence[Checked], *, style: str) -> str:
    """The HTML page."""
    title = f"Check of {checked[0].report.suite}" if len(checked) == 1 else "Results by stage"
    return template("results.html.j2").render(
        title=title, style=style, results=[_section(entry) for entry in checked]
    )


def _section(entry: Checked) -> dict[str, Any]:
    report, not_met = entry.report, entry.report.failures()
    checks = not_met + [result for result in report.results if result.passed]
    return {
        "stage": report.suite,
        "page": entry.page,
        "suite_page": entry.suite_page,
        "checked_at": entry.checked_at,
        "verdict": "not all passed" if not_met else "passed",
        "mark": _mark(not_met),
        "consequence": consequence(report),
        "num_met": len(report.results) - len(not_met),
        "num_rows": report.num_rows,
        "checks": [{**vars(result), "mark": _mark([] if result.passed else [result])} for result in checks],
    }


def _mark(not_met: Sequence[Result]) -> str:
    if any(result.severity == "critical" for result in not_met):
        return "failed"
    return "warned" if not_met else "passed"


def consequence(report: Report) -> str:
    """What became of the stage, which Great Expectations cannot know: to it a warning is a failure too."""
    if not report.passed:
        return "A critical expectation was not met: the stage failed."
    return (
        "Only warnings, which Great Expectations counts as failures: the stage went on."
        if report.failures()
        else ""
    )
