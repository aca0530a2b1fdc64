"""One suite on one table, by Great Expectations, in memory.

Three things its own result does not tell are settled here. An expectation that looked at no value (a missing score, a row
condition that matches nothing) has failed, where Great Expectations passes it. An expectation that could not be evaluated
raises: a broken suite is not bad data. Failing rows are named by their ids, which a second look at those rows gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.errors import UserError
from spavl.validation.checked_table import CheckedTable
from spavl.validation.data_docs import add_to_data_docs
from spavl.validation.looking import Finding, failing_rows, look
from spavl.validation.report import Report, Result
from spavl.validation.suite import Expectation, Suite
from spavl.validation.words import limit_in_words, needs_in_words, saw_in_words

if TYPE_CHECKING:
    import pyarrow as pa

    from spavl.artifacts.engine import Relation


def check(
    table: Relation | pa.Table,
    suite: Suite,
    *,
    stage: str,
    counts: Mapping[str, int] | None = None,
    measures: Mapping[str, float | None] | None = None,
    data_docs: Path | None = None,
) -> Report:
    """The report of `suite` on `table`, an Arrow table or a relation of the suite's row type; a relation is read more than once.

    `counts` and `measures` are the stage's own (columns are made of them); `data_docs` is a local folder that gets the site. Raises
    UserError where the suite is another stage's or an expectation cannot be evaluated.
    """
    if suite.name != stage:
        raise UserError(
            f"the suite of stage {stage!r} says name: {suite.name}.", next_step=f"Write name: {stage} in it."
        )
    checked = CheckedTable(table, suite.row_type, stage, counts or {}, measures or {})
    if not checked.num_rows:
        return _report_of_empty_table(suite)
    validation, findings = look(checked, suite)
    for expectation, finding in zip(suite.expectations, findings, strict=True):
        if not finding.num_values:
            finding.result |= {"success": expectation.allow_no_values, "result": {}}
    results = tuple(
        _result(expectation, finding, checked, suite)
        for expectation, finding in zip(suite.expectations, findings, strict=True)
    )
    report = Report(suite.name, suite.sha256, _passed(results), checked.num_rows, results)
    if data_docs is not None:
        add_to_data_docs(data_docs, suite, validation, report)
    return report


def _passed(results: tuple[Result, ...]) -> bool:
    return not any(result.severity == "critical" and not result.passed for result in results)


def _status(expectation: Expectation, success: bool, table: CheckedTable) -> str:
    """pass, fail, or inconclusive: it failed, and the column of `inconclusive_if` is within its limits."""
    if success:
        return "pass"
    second = expectation.inconclusive_if
    if not second:
        return "fail"
    value = table.maximum(second["column"])
    is_within = second.get("min_value", value) <= value <= second.get("max_value", value)
    return "inconclusive" if is_within else "fail"  # a missing value is within nothing


def _report_of_empty_table(suite: Suite) -> Report:
    """Nothing was seen, so nothing has passed."""
    results = tuple(
        Result(
            expectation.label,
            expectation.severity,
            False,
            "no rows",
            limit_in_words(expectation),
            expectation.reason,
            None,
            None,
            None,
            (),
        )
        for expectation in suite.expectations
    )
    return Report(suite.name, suite.sha256, False, 0, results)


def _result(expectation: Expectation, finding: Finding, table: CheckedTable, suite: Suite) -> Result:
    success, found = bool(finding.result["success"]), finding.result["result"]
    observed = found.get("observed_value")
    status = _status(expectation, success, table)
    return Result(
        expectation=expectation.label,
        severity=expectation.severity,
        passed=success,
        saw=saw_in_words(expectation, found, finding.seen),
        limit=limit_in_words(expectation),
        reason=expectation.reason,
        observed=float(observed) if isinstance(observed, int | float) else None,
        unexpected_count=found.get("unexpected_count"),
        unexpected_percent=found.get("unexpected_percent"),
        row_ids=failing_rows(table, suite, expectation) if not success and found else (),
        status=status,
        needs=needs_in_words(expectation, table) if status == "inconclusive" else "",
    )
