"""Suites as the safety team writes them, read strictly: what is not understood is an error, never skipped.

    name: dataset
    description: What a dataset version must be.
    expectations:
      - type: expect_table_row_count_to_be_between
        kwargs: {min_value: 50}
        severity: critical
        reason: an empty table passes most checks

Each item may also have `row_condition: {column: value}` (only rows where all of these hold are looked at),
`allow_no_values: true` (passes where no row is left to look at; without it, that fails) and
`inconclusive_if: {column: x, min_value: 0.1}` (if it fails while the maximum of that column is within these limits, the data
cannot tell: the result is inconclusive, which publishes nothing either).

A variant of a suite lies in `expectations/<variant>/<stage>.yaml`. It has `extends: <stage>` and a list `replaces`, whose items
replace those of the same type, columns and rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import isfinite
from typing import Any

from spavl.errors import UserError
from spavl.validation.catalogue import EXPECTATION_TYPES, ROW_COUNT
from spavl.validation.columns import known_columns
from spavl.validation.suite_text import parse

SEVERITIES = ("critical", "warning", "info")  # a failed critical publishes nothing; the others are shown
_REQUIRED = ("type", "kwargs", "severity", "reason")
_OPTIONAL = ("row_condition", "allow_no_values", "inconclusive_if")


@dataclass(frozen=True)
class Expectation:
    """One line of a suite."""

    type: str
    kwargs: Mapping[str, Any]
    severity: str  # one of SEVERITIES
    reason: str
    row_condition: Mapping[str, Any]  # column -> value it must equal; all must hold
    allow_no_values: bool
    inconclusive_if: Mapping[str, Any] = field(default_factory=dict)  # column, min_value, max_value

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at; empty for the whole table."""
        names = (self.kwargs[key] for key in EXPECTATION_TYPES[self.type].columns)
        return tuple(column for name in names for column in (name if isinstance(name, list) else [name]))

    @property
    def label(self) -> str:
        """`type(columns)`, with the row condition where there is one."""
        where = " and ".join(f"{column} = {value}" for column, value in self.row_condition.items())
        return f"{self.type}({', '.join(self.columns)}{f' where {where}' if where else ''})"


@dataclass(frozen=True)
class Suite:
    """All expectations on one stage's table."""

    name: str  # the stage
    description: str
    row_type: type
    expectations: tuple[Expectation, ...]
    sha256: str  # of the text


def load_suite(text: str, row_type: type) -> Suite:
    """The suite in a YAML text (of a variant: both texts, see `join_variant`), for tables of `row_type`.

    Raises UserError for bad YAML, a repeated or unknown key, an unknown expectation type, kwarg or column, a value of
    the wrong kind, a missing limit or reason, an expectation given twice, or a suite that does not begin with a row count.
    """
    text, variant = split_variant(text)
    root, lines = parse(text)
    unknown = sorted(set(map(str, root)) - {"name", "description", "expectations"})
    name, items = root.get("name"), root.get("expectations")
    if (
        unknown
        or not isinstance(name, str)
        or not isinstance(root.get("description"), str)
        or not isinstance(items, list)
        or not items
    ):
        raise UserError(
            f"a suite has the keys name, description and expectations (a list); seen: {', '.join(map(str, root)) or 'none'}.",
            next_step=f"Remove {unknown[0]!r}." if unknown else "name and description are texts.",
        )
    columns = known_columns(row_type, name)
    places = [f"expectations/{name}.yaml line {line}" for line in lines]
    expectations = tuple(
        _expectation(item, place, columns) for item, place in zip(items, places, strict=True)
    )
    _check_order(expectations, places)
    sha256 = hashlib.sha256((text + variant).encode()).hexdigest()
    suite = Suite(name, root["description"].strip(), row_type, expectations, sha256)
    return replaced_by_variant(suite, variant) if variant else suite


VARIANT_MARK = "\n# ---- variant ----\n"


def join_variant(text: str, variant: str) -> str:
    """One text of a suite and its variant, as a plan keeps it."""
    return text + VARIANT_MARK + variant


def split_variant(text: str) -> tuple[str, str]:
    """The suite's own text and its variant's, "" if there is none."""
    suite, _, variant = text.partition(VARIANT_MARK)
    return suite, variant


def replaced_by_variant(suite: Suite, variant: str) -> Suite:
    """The suite with the variant's expectations in the place of those with the same label.

    Raises UserError if the variant has other keys, is of another stage, or replaces something that is not there.
    """
    root, lines = parse(variant, list_key="replaces")
    place = f"the variant of {suite.name}.yaml"
    _check_keys(root, place, ("name", "extends", "replaces"), ("description",))
    if root["name"] != suite.name or root["extends"] != suite.name or not isinstance(root["replaces"], list):
        raise UserError(
            f"{place} has name {root['name']!r} and extends {root['extends']!r}.",
            next_step=f"Both are {suite.name!r}, and `replaces` is a list of expectations.",
        )
    columns, expectations = known_columns(suite.row_type, suite.name), list(suite.expectations)
    for item, line in zip(root["replaces"], lines, strict=True):
        made = _expectation(item, f"{place}, line {line}", columns)
        same = [number for number, old in enumerate(expectations) if _is_replaced(old, made)]
        if not same:
            raise UserError(
                f"{place}, line {line}: {suite.name}.yaml has no {made.label} to replace.",
                next_step="Type, columns and row_condition must be those of an expectation there.",
            )
        expectations[same[0]] = made
    return replace(suite, expectations=tuple(expectations))


def _is_replaced(old: Expectation, new: Expectation) -> bool:
    """The same check; of two with different severities the critical one comes first in a suite, and is meant."""
    return old.label == new.label


def _expectation(item: Any, place: str, columns: Mapping[str, str]) -> Expectation:
    if not isinstance(item, dict):
        raise UserError(f"{place}: an expectation must be a mapping, not {type(item).__name__}.")
    _check_keys(item, place, _REQUIRED, _OPTIONAL)
    kind, kwargs, condition = item["type"], item["kwargs"], item.get("row_condition", {})
    if not isinstance(kind, str) or kind not in EXPECTATION_TYPES:
        raise UserError(
            f"{place}: there is no expectation type {kind!r}.", next_step=_suggest(kind, EXPECTATION_TYPES)
        )
    place = f"{place} ({kind})"
    if item["severity"] not in SEVERITIES:
        raise UserError(
            f"{place}: severity is {item['severity']!r}.", next_step=f"Allowed are {', '.join(SEVERITIES)}."
        )
    if not isinstance(item["reason"], str) or not item["reason"].strip():
        raise UserError(
            f"{place}: the reason is empty.", next_step="Say in one sentence what goes wrong without it."
        )
    if not isinstance(item.get("allow_no_values", False), bool):
        raise UserError(f"{place}: allow_no_values is {item['allow_no_values']!r}, not true or false.")
    _check_kwargs(kind, kwargs, place, columns)
    _check_condition(condition, place, columns)
    _check_inconclusive(item.get("inconclusive_if", {}), place, columns)
    return Expectation(
        kind,
        kwargs,
        item["severity"],
        " ".join(item["reason"].split()),
        condition,
        item.get("allow_no_values", False),
        item.get("inconclusive_if", {}),
    )


def _check_keys(
    item: Mapping[str, Any], place: str, required: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    for key in item:
        if key not in required + optional:
            raise UserError(f"{place}: unknown key {key!r}.", next_step=_suggest(key, required + optional))
    for key in required:
        if key not in item:
            raise UserError(
                f"{place}: {key!r} is missing.", next_step=f"Every expectation has {', '.join(required)}."
            )


def _check_kwargs(kind: str, kwargs: Any, place: str, columns: Mapping[str, str]) -> None:
    expected = EXPECTATION_TYPES[kind]
    if not isinstance(kwargs, dict):
        raise UserError(f"{place}: kwargs must be a mapping, not {type(kwargs).__name__}.")
    _check_keys(kwargs, place, expected.columns, tuple(expected.kwargs))
    if expected.needs_one_of and not set(kwargs) & set(expected.needs_one_of):
        raise UserError(
            f"{place}: it has no limit, so it would always pass.",
            next_step=f"Give {' or '.join(expected.needs_one_of)}.",
        )
    kinds = [
        _column_kind(column, place, columns)
        for key in expected.columns
        for column in _names(key, kwargs[key], place)
    ]
    if expected.column_kind and set(kinds) != {expected.column_kind}:
        raise UserError(f"{place}: it needs a column of kind {expected.column_kind}, not {kinds[0]}.")
    for name, value in kwargs.items():
        if name in expected.kwargs:
            _check_value(name, value, expected.kwargs[name], place, kinds[0] if kinds else "number")


def _names(key: str, value: Any, place: str) -> list[Any]:
    if key != "column_list":
        return [value]
    if not isinstance(value, list) or len(value) < 2:
        raise UserError(f"{place}: column_list must be a list of at least two columns.")
    return value


def _column_kind(column: Any, place: str, columns: Mapping[str, str]) -> str:
    if not isinstance(column, str) or column not in columns:
        raise UserError(f"{place}: there is no column {column!r}.", next_step=_suggest(column, columns))
    return columns[column]


def _check_value(name: str, value: Any, kind: str, place: str, column_kind: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    fits = {
        "number": lambda: is_number,
        "share": lambda: is_number and 0 < value <= 1,
        "flag": lambda: isinstance(value, bool),
        "regex": lambda: isinstance(value, str) and bool(value) and _compiles(value),
        "values": lambda: (
            isinstance(value, list)
            and bool(value)
            and all(_is_of_kind(entry, column_kind) for entry in value)
        ),
    }
    if not fits[kind]():
        meant = {
            "share": "a number above 0 and up to 1",
            "values": f"a list of values of kind {column_kind}",
        }.get(kind, f"a {kind}")
        raise UserError(
            f"{place}: {name} is {value!r}, not {meant}.",
            next_step="Put words in quotes: YAML reads a bare no as false.",
        )


def _is_of_kind(value: Any, column_kind: str) -> bool:
    return isinstance(value, str) if column_kind == "text" else isinstance(value, bool | int | float)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _check_condition(condition: Any, place: str, columns: Mapping[str, str]) -> None:
    if not isinstance(condition, dict):
        raise UserError(
            f"{place}: row_condition must be a mapping of columns to values, not {type(condition).__name__}."
        )
    for column, value in condition.items():
        kind = _column_kind(column, f"{place}, row_condition", columns)
        if not _is_of_kind(value, kind):
            raise UserError(
                f"{place}, row_condition: {column} is of kind {kind}, so it never equals {value!r}."
            )


def _check_inconclusive(second: Any, place: str, columns: Mapping[str, str]) -> None:
    place = f"{place}, inconclusive_if"
    if second == {}:
        return
    if not isinstance(second, dict):
        raise UserError(f"{place}: it must be a mapping of column and limits, not {type(second).__name__}.")
    _check_keys(second, place, ("column",), ("min_value", "max_value"))
    if len(second) == 1:
        raise UserError(
            f"{place}: it has no limit, so nothing could ever fail.", next_step="Give min_value or max_value."
        )
    if _column_kind(second["column"], place, columns) != "number":
        raise UserError(f"{place}: it needs a column of kind number, not {second['column']!r}.")
    for name in set(second) - {"column"}:
        _check_value(name, second[name], "number", place, "number")


def _check_order(expectations: tuple[Expectation, ...], places: list[str]) -> None:
    first = expectations[0]
    if (
        first.type != ROW_COUNT
        or first.severity != "critical"
        or first.row_condition
        or not first.kwargs.get("min_value", 0) >= 1
    ):
        raise UserError(
            f"{places[0]}: a suite begins with a critical {ROW_COUNT} of at least one row.",
            next_step="An empty table passes most other checks.",
        )
    seen: dict[tuple[str, str], str] = {}
    for expectation, place in zip(expectations, places, strict=True):
        key = expectation.label, expectation.severity
        if key in seen:
            raise UserError(
                f"{place}: {expectation.label} is there already ({seen[key]}).",
                next_step="Make it one, or give it another severity.",
            )
        seen[key] = place


def _suggest(word: Any, known: Any) -> str:
    near = get_close_matches(str(word), known, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(known)}."
