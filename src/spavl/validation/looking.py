"""What Great Expectations finds: its own verdict of every expectation of a suite, on the frames that the plan gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.validation.catalogue import EXPECTATION_TYPES
from spavl.validation.frame_plan import Frame, frame_plan
from spavl.validation.gx_context import frame_batches
from spavl.validation.gx_import import great_expectations
from spavl.validation.suite import Expectation, Suite

if TYPE_CHECKING:
    import pandas as pd

    from spavl.validation.checked_table import CheckedTable

MAX_CELLS = 4_000_000  # of a frame of whole columns, unless one expectation needs more
SLICE_ROWS, TEXT_SLICE_ROWS = 500_000, 100_000
BUCKET_ROWS = 2_000_000  # to tell which of them are the same takes some 300 bytes a row
NUM_ROW_IDS = 20
# SUMMARY without partial lists: every other result format copies cells into the result and from there into Data Docs
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
_WITH_ROWS = {"result_format": "COMPLETE", "partial_unexpected_count": 0}


@dataclass
class Finding:
    """One expectation's result as Great Expectations writes it (JSON), and what that does not tell."""

    result: dict[str, Any]
    num_values: int  # rows that the expectation can say something about
    seen: set[object] = field(default_factory=set)  # different values, for expectations about a set


def look(table: CheckedTable, suite: Suite) -> tuple[dict[str, Any], list[Finding]]:
    """The validation (JSON, results in the order of the suite) and the findings; raises UserError if one cannot be evaluated."""
    constants = table.constants.keys()
    max_columns = max(1, MAX_CELLS // table.num_rows)
    plan = frame_plan(suite.expectations, table.long_columns, constants, max_columns)
    found = _Found(suite)
    if plan.constant.numbers:
        found.add(plan.constant, _one_row(table, plan.constant))
    for frame in plan.whole:
        found.add(frame, table.frame(frame.columns, ranked=frame.ranked, named=frame.named))
    for frame in plan.bucketed:
        for rows in table.buckets(
            frame.columns, BUCKET_ROWS, by=frame.compared, ranked=frame.ranked, named=frame.named
        ):
            found.add(frame, rows)
    for frame in plan.sliced:
        num_rows = SLICE_ROWS if table.long_columns.isdisjoint(frame.columns) else TEXT_SLICE_ROWS
        for rows in table.slices(frame.columns, num_rows, named=frame.named):
            found.add(frame, rows)
    return found.validation()


class _Found:
    """The findings so far; of an expectation that saw several slices, one of each."""

    def __init__(self, suite: Suite) -> None:
        self._suite, self._batches = suite, frame_batches(suite.name)
        self._findings: list[list[Finding]] = [[] for _ in suite.expectations]
        self._validation: dict[str, Any] = {}

    def add(self, frame: Frame, rows: pd.DataFrame) -> None:
        """Have the frame's expectations evaluated on these rows."""
        expectations = [self._suite.expectations[number] for number in frame.numbers]
        suite = gx_suite(self._suite.name, zip(frame.numbers, expectations, strict=True))
        validator = _validator(rows, self._batches, RESULT_FORMAT)
        validation = validator.validate_expectation_suite(suite).to_json_dict()
        self._validation = self._validation or validation
        by_number = {
            result["expectation_config"]["meta"]["number"]: result for result in validation["results"]
        }
        assert sorted(by_number) == sorted(frame.numbers), "Great Expectations lost an expectation"
        for number, expectation in zip(frame.numbers, expectations, strict=True):
            _refuse_exception(self._suite, expectation, by_number[number]["exception_info"])
            finding = Finding(by_number[number], *_values(expectation, rows))
            self._findings[number].append(finding)

    def validation(self) -> tuple[dict[str, Any], list[Finding]]:
        assert all(self._findings), "an expectation was not evaluated"
        findings = [
            parts[0] if len(parts) == 1 else merged(parts, expectation.kwargs.get("mostly", 1))
            for parts, expectation in zip(self._findings, self._suite.expectations, strict=True)
        ]
        self._validation["results"] = [finding.result for finding in findings]
        self._validation["statistics"]["evaluated_expectations"] = len(findings)
        return self._validation, findings


def merged(parts: Sequence[Finding], mostly: float) -> Finding:
    """The finding on all rows of an expectation that counts rows, from those on slices or buckets: counts are added.

    Shares are then computed as Great Expectations 1.24 does; a test holds both side by side.
    """
    first = parts[0].result["result"]
    counts = {
        name: sum(part.result["result"][name] for part in parts)
        for name in ("element_count", "unexpected_count", "missing_count")
        if name in first
    }
    num_rows, num_outside = counts["element_count"], counts["unexpected_count"]
    num_values = num_rows - counts.get("missing_count", 0)
    shares = {
        "unexpected_percent": _percent(num_outside, num_values),
        "missing_percent": _percent(counts.get("missing_count", 0), num_rows),
        "unexpected_percent_total": _percent(num_outside, num_rows),
        "unexpected_percent_nonmissing": _percent(num_outside, num_values),
    }
    result = first | counts | {name: share for name, share in shares.items() if name in first}
    success = not num_values or (num_values - num_outside) / num_values >= mostly
    return Finding(
        parts[0].result | {"success": success, "result": result}, sum(part.num_values for part in parts)
    )


def _percent(number: int, total: int) -> float | None:
    return number / total * 100 if total else None


def _values(expectation: Expectation, rows: pd.DataFrame) -> tuple[int, set[object]]:
    """How many of the rows the expectation can say something about, and the different values if it speaks about a set."""
    import numpy as np

    looked_at = np.ones(len(rows), bool)
    for column, value in expectation.row_condition.items():
        looked_at &= (rows[column] == value).to_numpy(bool)
    seen: set[object] = set()
    if "_distinct_values_" in expectation.type:
        seen = set(rows.loc[looked_at, expectation.columns[0]].dropna().unique())
    if not EXPECTATION_TYPES[expectation.type].reads_nulls:
        for column in expectation.columns:
            looked_at &= rows[column].notna().to_numpy(bool)
    return int(looked_at.sum()), seen


def failing_rows(table: CheckedTable, suite: Suite, expectation: Expectation) -> tuple[str, ...]:
    """Ids of up to NUM_ROW_IDS failing rows, in the order of the table.

    The result that holds cells as well is looked at and dropped. Great Expectations lists every failing row of a frame, so the
    frames are small until they have to be larger.
    """
    kind = EXPECTATION_TYPES[expectation.type]
    if not kind.counts_rows:
        return ()
    if kind.compares_values:
        return table.ids_of_repeated(expectation.columns, expectation.row_condition, NUM_ROW_IDS)
    columns = dict.fromkeys([*expectation.columns, *expectation.row_condition])
    ids: list[str] = []
    batches = frame_batches(suite.name)
    for rows in _growing(table.slices(columns, TEXT_SLICE_ROWS, with_ids=True)):
        validator = _validator(rows, batches, _WITH_ROWS)
        found = validator.validate_expectation(gx_expectation(expectation, 0))
        ids += [str(entry["row"]) for entry in found.result.get("unexpected_index_list") or []]
        if len(ids) >= NUM_ROW_IDS:
            break
    return tuple(ids[:NUM_ROW_IDS])


def _growing(slices: Iterable[pd.DataFrame], first: int = 1000, factor: int = 10) -> Iterable[pd.DataFrame]:
    """The same rows in pieces of 1,000, 10,000 and so on, none across two slices."""
    size = first
    for rows in slices:
        start = 0
        while start < len(rows):
            yield rows.iloc[start : start + size]
            start, size = start + size, size * factor


def _one_row(table: CheckedTable, frame: Frame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: [table.constants[name]] for name in frame.columns})


def _validator(frame: pd.DataFrame, batches: Any, result_format: Mapping[str, Any]) -> Any:
    """Great Expectations' validator of the frame. A batch would make the same one, and read and hash the frame twice for it."""
    from great_expectations.validator.v1_validator import Validator

    return Validator(batches, result_format, batch_parameters={"dataframe": frame})


def gx_expectation(expectation: Expectation, number: int) -> Any:
    """The Great Expectations object; raises where that library knows no such type or kwarg, instead of dropping it."""
    great_expectations()
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


def gx_suite(name: str, expectations: Iterable[tuple[int, Expectation]]) -> Any:
    """Numbered expectations as Great Expectations' own suite, with every one in it."""
    return great_expectations().ExpectationSuite(
        name=name, expectations=[gx_expectation(expectation, number) for number, expectation in expectations]
    )


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
