"""The expectation types that a suite may use, and what each accepts.

Great Expectations 1.24 drops a misspelt type from a suite without a word, accepts a "between" without any limit, and has
types that crash (quantiles), need SQL (queries) or look at other tables. So the set is ours, closed and visible; a test
compares it with the installed version. A new type is one row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class ExpectationType(NamedTuple):
    """One type of expectation."""

    columns: tuple[str, ...] = ()  # kwargs that name one column each; "column_list" names several
    kwargs: Mapping[str, str] = {}  # every other kwarg -> number, share, flag, values or regex
    needs_one_of: tuple[str, ...] = ()  # without any of these there is no limit, so it would always pass
    column_kind: str | None = None  # "number" or "text", where others cannot be evaluated
    counts_rows: bool = False  # it looks at each row, so failing rows can be named
    compares_values: bool = (
        False  # it only asks which values are the same, so another name of each value does as well
    )
    reads_nulls: bool = False  # it speaks about nulls, so a column without a value is not "nothing to check"


_BETWEEN = {"min_value": "number", "max_value": "number", "strict_min": "flag", "strict_max": "flag"}
_LIMITS = ("min_value", "max_value")
_ONE = ("column",)
_PAIR = ("column_A", "column_B")
_MOSTLY = {"mostly": "share"}

_STATISTIC = ExpectationType(_ONE, _BETWEEN, _LIMITS, "number")
_COUNTING = ExpectationType(_ONE, _BETWEEN, _LIMITS, compares_values=True)
_DISTINCT = ExpectationType(_ONE, {"value_set": "values"}, ("value_set",))
_EACH_IN_SET = ExpectationType(_ONE, {"value_set": "values", **_MOSTLY}, ("value_set",), counts_rows=True)
_EACH_MATCHES = ExpectationType(_ONE, {"regex": "regex", **_MOSTLY}, ("regex",), "text", counts_rows=True)

EXPECTATION_TYPES: dict[str, ExpectationType] = {
    "expect_table_row_count_to_be_between": ExpectationType((), _BETWEEN, _LIMITS),
    "expect_column_mean_to_be_between": _STATISTIC,
    "expect_column_median_to_be_between": _STATISTIC,
    "expect_column_min_to_be_between": _STATISTIC,
    "expect_column_max_to_be_between": _STATISTIC,
    "expect_column_stdev_to_be_between": _STATISTIC,
    "expect_column_sum_to_be_between": _STATISTIC,
    "expect_column_unique_value_count_to_be_between": _COUNTING,
    "expect_column_proportion_of_unique_values_to_be_between": _COUNTING,
    "expect_column_proportion_of_non_null_values_to_be_between": _COUNTING._replace(
        compares_values=False, reads_nulls=True
    ),
    "expect_column_distinct_values_to_be_in_set": _DISTINCT,
    "expect_column_distinct_values_to_contain_set": _DISTINCT,
    "expect_column_distinct_values_to_equal_set": _DISTINCT,
    "expect_column_values_to_be_between": ExpectationType(
        _ONE, {**_BETWEEN, **_MOSTLY}, _LIMITS, "number", counts_rows=True
    ),
    "expect_column_value_lengths_to_be_between": ExpectationType(
        _ONE, {**_BETWEEN, **_MOSTLY}, _LIMITS, "text", counts_rows=True
    ),
    "expect_column_values_to_be_in_set": _EACH_IN_SET,
    "expect_column_values_to_not_be_in_set": _EACH_IN_SET,
    "expect_column_values_to_match_regex": _EACH_MATCHES,
    "expect_column_values_to_not_match_regex": _EACH_MATCHES,
    "expect_column_values_to_be_unique": ExpectationType(
        _ONE, _MOSTLY, counts_rows=True, compares_values=True
    ),
    "expect_column_values_to_be_null": ExpectationType(_ONE, _MOSTLY, counts_rows=True, reads_nulls=True),
    "expect_column_values_to_not_be_null": ExpectationType(_ONE, _MOSTLY, counts_rows=True, reads_nulls=True),
    "expect_column_values_to_be_json_parseable": ExpectationType(
        _ONE, _MOSTLY, column_kind="text", counts_rows=True
    ),
    "expect_column_pair_values_to_be_equal": ExpectationType(_PAIR, _MOSTLY, counts_rows=True),
    "expect_column_pair_values_a_to_be_greater_than_b": ExpectationType(
        _PAIR, {"or_equal": "flag", **_MOSTLY}, column_kind="number", counts_rows=True
    ),
    "expect_compound_columns_to_be_unique": ExpectationType(
        ("column_list",), _MOSTLY, counts_rows=True, compares_values=True
    ),
}

ROW_COUNT = "expect_table_row_count_to_be_between"
