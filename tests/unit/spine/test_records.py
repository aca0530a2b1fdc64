"""Rows and Arrow tables are two forms of the same thing."""

from __future__ import annotations

import dataclasses
import importlib
import typing

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.pipeline import BY_NAME, STAGES
from spavl.records import arrow_schema, from_table, stable_hash, to_table
from spavl.stages.images.rows import Image

ROW_TYPES = [
    value
    for stage in BY_NAME
    for value in vars(importlib.import_module(f"spavl.stages.{stage}.rows")).values()
    if isinstance(value, type) and dataclasses.is_dataclass(value)
]
VALUES = {
    str: st.text(st.characters(exclude_categories=["Cs"])),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
}


def rows_of(row_type: type) -> st.SearchStrategy:
    def strategy(annotation: object) -> st.SearchStrategy:
        arguments = typing.get_args(annotation)
        if typing.get_origin(annotation) is tuple:
            return st.lists(VALUES[arguments[0]], max_size=3).map(tuple)
        if arguments:
            return st.none() | strategy(
                next(argument for argument in arguments if argument is not type(None))
            )
        return VALUES[annotation]

    hints = typing.get_type_hints(row_type)
    return st.lists(st.builds(row_type, **{name: strategy(hint) for name, hint in hints.items()}), max_size=3)


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.__name__)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_rows_survive_the_table(row_type: type, data: st.DataObject) -> None:
    rows = data.draw(rows_of(row_type))
    assert from_table(to_table(rows, row_type), row_type) == rows


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.__name__)
def test_an_empty_table_keeps_its_columns(row_type: type) -> None:
    assert to_table([], row_type).schema == arrow_schema(row_type)


def test_a_table_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="a table of Image has the columns"):
        from_table(pa.table({"id": ["x"]}), Image)


def test_every_stage_writes_a_known_row_type() -> None:
    assert {stage.writes for stage in STAGES} <= {row_type.__name__ for row_type in ROW_TYPES}


def test_a_hash_depends_on_content_and_not_on_key_order() -> None:
    assert stable_hash({"a": 1, "b": 2}) == stable_hash({"b": 2, "a": 1}) != stable_hash({"a": 1, "b": 3})
    assert stable_hash("ab", "c") != stable_hash("a", "bc") and len(stable_hash("x")) == 32
