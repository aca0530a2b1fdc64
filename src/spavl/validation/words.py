"""Limits and values in words, for one line in a terminal, a log or the Airflow UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from spavl.validation.gate import prompts_that_would_settle
from spavl.validation.suite import Expectation

if TYPE_CHECKING:
    from spavl.validation.checked_table import CheckedTable

NO_VALUE = "no value to check"


def limit_in_words(expectation: Expectation) -> str:
    """`>= 0.25`, `0.3 to 0.7`, `one of ok`, `unique`; with the share of rows where not all must."""
    kwargs = expectation.kwargs
    words = _bounds(kwargs) or _rule(expectation)
    share = kwargs.get("mostly")
    return words if share is None else f"{words} in >= {share:.2%} of rows"


def _bounds(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    above, below = ">" if kwargs.get("strict_min") else ">=", "<" if kwargs.get("strict_max") else "<="
    parts = [f"{above} {low:g}"] if low is not None else []
    return " and ".join(parts + ([f"{below} {high:g}"] if high is not None else []))


def _rule(expectation: Expectation) -> str:
    kwargs = expectation.kwargs
    if "value_set" in kwargs:
        values = ", ".join(map(str, kwargs["value_set"]))
        return f"{_set_word(expectation.type)} {values}"
    if "regex" in kwargs:
        return f"{'not ' if '_not_' in expectation.type else ''}like {kwargs['regex']}"
    for word in ("unique", "not_be_null", "be_null", "json_parseable", "be_equal"):
        if expectation.type.endswith(word):
            return word.removeprefix("be_").replace("_", " ").replace("not be", "not")
    return f"first {'>=' if kwargs.get('or_equal') else '>'} second"


def _set_word(expectation_type: str) -> str:
    for ending, word in (("contain_set", "all of"), ("equal_set", "exactly"), ("not_be_in_set", "none of")):
        if expectation_type.endswith(ending):
            return word
    return "one of"


def saw_in_words(expectation: Expectation, found: Mapping[str, Any], seen: Set[object]) -> str:
    """The value an expectation saw; `seen` are the different values of its column, if it speaks about them as a set.

    Words come from the suite, never from a cell.
    """
    if not found:
        return NO_VALUE
    if found.get("unexpected_percent") is not None:
        num_rows = found["element_count"] - (found.get("missing_count") or 0)
        return f"{found['unexpected_count']} of {num_rows} rows outside ({found['unexpected_percent']:.3g} %)"
    if "value_set" in expectation.kwargs:
        return _set_difference(seen, expectation.kwargs["value_set"])
    observed = found.get("observed_value")
    return f"{observed:.4g}" if isinstance(observed, int | float) else NO_VALUE


def needs_in_words(expectation: Expectation, table: CheckedTable) -> str:
    """What would settle an inconclusive result: of a gate bound, or in a column `<column>__needs`, the number of prompts more."""
    column = expectation.columns[0] if expectation.columns else ""
    limits = [expectation.kwargs[name] for name in ("min_value", "max_value") if name in expectation.kwargs]
    if f"{column}__needs" in table:
        number = table.maximum(f"{column}__needs")
    elif len(limits) == 1 and (needed := prompts_that_would_settle(column, limits[0], table)) is not None:
        number = needed
    else:
        return ""
    return f"needs about {number:,.0f} more prompts" if number > 0 else "no number of prompts would settle it"


def _set_difference(seen: Set[object], limit: Sequence[object]) -> str:
    missing = [str(value) for value in limit if value not in seen]
    num_others = len(seen - set(limit))
    return f"{len(seen)} values, {num_others} others, missing: {', '.join(missing) or 'none'}"
