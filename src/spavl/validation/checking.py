"""One suite on one table, by Great Expectations, in memory.

Three things its own result does not tell are settled here. An expectation that looked at no value (a missing score, a row
condition that matches nothing) has failed, where Great Expectations passes it. An expectation that could not be evaluated
raises: a broken suite is not bad data. Failing rows are named by their ids, which a second look at those rows gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.validation.catalogue import EXPECTATION_TYPES
from spavl.validation.columns import frame_of
from spavl.validation.data_docs import add_to_data_docs
from spavl.validation.gx_context import ephemeral_context
from spavl.validation.report import Report, Result
from spavl.validation.suite import Expectation, Suite
from spavl.validation.words import limit_in_words, needs_in_words, saw_in_words

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

NUM_ROW_IDS = 20
# SUMMARY without partial lists: every other result format copies cells into the result and from there into Data Docs
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}


def check(
    table: pa.Table,
    suite: Suite,
    *,
    stage: str,
    counts: Mapping[str, int] | None = None,
    measures: Mapping[str, float | None] | None = None,
    data_docs: Path | None = None,
) -> Report:
    """The report of `suite` on `table`, whose schema is that of the suite's row type.

    `counts` and `measures` are the stage's own (columns are made of them); `data_docs` is a local folder that gets the site. Raises
    UserError where the suite is another stage's or an expectation cannot be evaluated.
    """
    if suite.name != stage:
        raise UserError(
            f"the suite of stage {stage!r} says name: {suite.name}.", next_step=f"Write name: {stage} in it."
        )
    if not table.num_rows:
        return _report_of_empty_table(suite)
    frame = frame_of(table, suite.row_type, counts or {}, measures)
    batch = _batch(frame, stage)
    validation = _validate(batch, suite)
    for expectation, result in zip(suite.expectations, validation["results"], strict=True):
        if not _num_values(frame, expectation):
            result["success"] = expectation.allow_no_values
            result["result"] = {}
    results = tuple(
        _result(expectation, result, frame, batch)
        for expectation, result in zip(suite.expectations, validation["results"], strict=True)
    )
    report = Report(suite.name, suite.sha256, _passed(results), len(frame), results)
    if data_docs is not None:
        add_to_data_docs(data_docs, suite, validation, report)
    return report


def _passed(results: tuple[Result, ...]) -> bool:
    return not any(result.severity == "critical" and not result.passed for result in results)


def _status(expectation: Expectation, success: bool, frame: pd.DataFrame) -> str:
    """pass, fail, or inconclusive: it failed, and the column of `inconclusive_if` is within its limits."""
    if success:
        return "pass"
    second = expectation.inconclusive_if
    if not second:
        return "fail"
    value = frame[second["column"]].max()
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


def _batch(frame: pd.DataFrame, stage: str) -> Any:
    asset = ephemeral_context().data_sources.add_pandas("spavl").add_dataframe_asset(stage)
    return asset.add_batch_definition_whole_dataframe("table").get_batch(
        batch_parameters={"dataframe": frame}
    )


def gx_expectation(expectation: Expectation, number: int) -> Any:
    """The Great Expectations object; raises where that library knows no such type or kwarg, instead of dropping it."""
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.row_conditions import Column

    kwargs = dict(expectation.kwargs)
    conditions = [
        Column(column) == (float(value) if isinstance(value, bool) else value)
        for column, value in expectation.row_condition.items()
    ]
    if conditions:
        kwargs["row_condition"] = conditions[0]
        for condition in conditions[1:]:
            kwargs["row_condition"] &= condition
    return ExpectationConfiguration(
        type=expectation.type,
        kwargs=kwargs,
        meta={"number": number},
        notes=expectation.reason,
        severity=expectation.severity,
    ).to_domain_obj()


def gx_suite(suite: Suite) -> Any:
    """The suite as Great Expectations' own object, with every expectation in it."""
    from great_expectations import ExpectationSuite

    return ExpectationSuite(
        name=suite.name,
        expectations=[
            gx_expectation(expectation, number) for number, expectation in enumerate(suite.expectations)
        ],
    )


def _validate(batch: Any, suite: Suite) -> dict[str, Any]:
    """The validation result as JSON, its results in the order of the suite (Great Expectations has its own)."""
    validation = batch.validate(gx_suite(suite), result_format=RESULT_FORMAT).to_json_dict()
    by_number = {result["expectation_config"]["meta"]["number"]: result for result in validation["results"]}
    assert sorted(by_number) == list(range(len(suite.expectations))), "Great Expectations lost an expectation"
    validation["results"] = [by_number[number] for number in range(len(suite.expectations))]
    for expectation, result in zip(suite.expectations, validation["results"], strict=True):
        _refuse_exception(suite, expectation, result["exception_info"])
    return validation


def _refuse_exception(suite: Suite, expectation: Expectation, info: Mapping[str, Any]) -> None:
    """`info` is one exception's, or a mapping of metric to exception; messages may quote cells, so only the kind is told."""
    infos = [info] if "raised_exception" in info else list(info.values())
    raised = [entry for entry in infos if entry.get("raised_exception")]
    if raised:
        last_line = str(raised[0].get("exception_traceback") or "").strip().rsplit("\n", 1)[-1]
        raise UserError(
            f"{suite.name}: {expectation.label} cannot be evaluated ({last_line.partition(':')[0] or 'unknown error'}).",
            next_step=f"Mend it in expectations/{suite.name}.yaml: the table itself was not judged.",
        )


def _rows_looked_at(frame: pd.DataFrame, expectation: Expectation) -> pd.DataFrame:
    for column, value in expectation.row_condition.items():
        frame = frame[frame[column] == value]
    return frame


def _num_values(frame: pd.DataFrame, expectation: Expectation) -> int:
    """Rows that the expectation can say something about."""
    rows = _rows_looked_at(frame, expectation)
    if EXPECTATION_TYPES[expectation.type].reads_nulls or not expectation.columns:
        return len(rows)
    return int(rows[list(expectation.columns)].notna().all(axis="columns").sum())


def _result(expectation: Expectation, result: Mapping[str, Any], frame: pd.DataFrame, batch: Any) -> Result:
    found = result["result"]
    observed = found.get("observed_value")
    return Result(
        expectation=expectation.label,
        severity=expectation.severity,
        passed=bool(result["success"]),
        saw=saw_in_words(expectation, found, _rows_looked_at(frame, expectation)),
        limit=limit_in_words(expectation),
        reason=expectation.reason,
        observed=float(observed) if isinstance(observed, int | float) else None,
        unexpected_count=found.get("unexpected_count"),
        unexpected_percent=found.get("unexpected_percent"),
        row_ids=_failing_rows(batch, expectation) if not result["success"] and found else (),
        status=(status := _status(expectation, bool(result["success"]), frame)),
        needs=needs_in_words(expectation, frame) if status == "inconclusive" else "",
    )


def _failing_rows(batch: Any, expectation: Expectation) -> tuple[str, ...]:
    """Ids of up to NUM_ROW_IDS failing rows. The result that holds cells as well is looked at and dropped."""
    if not EXPECTATION_TYPES[expectation.type].counts_rows:
        return ()
    found = batch.validate(
        gx_expectation(expectation, 0),
        result_format={"result_format": "COMPLETE", "partial_unexpected_count": 0},
    )
    return tuple(str(entry["row"]) for entry in found.result.get("unexpected_index_list", [])[:NUM_ROW_IDS])
