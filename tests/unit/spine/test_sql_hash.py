"""An id that the engine makes is the id that Python makes, whatever text it is made of."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spavl.records import stable_hash
from spavl.sql import Number, Text, json_text, literal, stable_hash_sql

# any code point but surrogates, which are no text in UTF-8
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(
    st.sampled_from([*map(chr, range(0x21)), '"', "\\", "'", "/", "\x7f", "\x85", "\u2028", "\ufeff", "\U0001f600"])
)  # fmt: skip
WHOLE = st.integers(-(2**63), 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def hashed(engine: duckdb.DuckDBPyConnection, rows: list[tuple[str, int]], *constants: object) -> list[str]:
    texts, numbers = zip(*rows, strict=True)
    table = pa.table({"t": pa.array(texts, pa.string()), "n": pa.array(numbers, pa.int64())})
    engine.register("rows", table)
    before, after = constants
    expression = stable_hash_sql(before, Text("t"), after, Number("n"), Text("t"), before)
    return [row for (row,) in engine.sql(f"SELECT {expression} FROM rows").fetchall()]


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, WHOLE), min_size=1, max_size=20), JSON, JSON)
@example([("", 0), ("\x00", -1), ('"\\\x1f\x7f\u2028', 2**63 - 1)], None, "it's")
def test_the_engines_hash_is_pythons(
    engine: duckdb.DuckDBPyConnection, rows: list[tuple[str, int]], before: object, after: object
) -> None:
    expected = [stable_hash(before, text, after, number, text, before) for text, number in rows]
    assert hashed(engine, rows, before, after) == expected


@pytest.mark.parametrize("code", range(0x20))
def test_each_control_character_is_written_as_json_writes_it(
    engine: duckdb.DuckDBPyConnection, code: int
) -> None:
    text = f"a{chr(code)}b{chr(code)}"
    assert hashed(engine, [(text, 1)], 1, 2) == [stable_hash(1, text, 2, 1, text, 1)]


@settings(deadline=None)
@given(st.lists(JSON, min_size=1, max_size=5))
def test_constants_alone_hash_alike(engine: duckdb.DuckDBPyConnection, parts: list[object]) -> None:
    assert engine.sql(f"SELECT {stable_hash_sql(*parts)}").fetchall() == [(stable_hash(*parts),)]


@settings(deadline=None)
@given(TEXT)
def test_a_literal_is_the_text_itself(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    assert engine.sql(f"SELECT {literal(text)}").fetchall() == [(text,)]


def test_null_is_no_text_and_hashes_to_nothing(engine: duckdb.DuckDBPyConnection) -> None:
    assert engine.sql(f"SELECT {json_text('CAST(NULL AS VARCHAR)')}").fetchall() == [(None,)]
    assert engine.sql(f"SELECT {stable_hash_sql(Text('CAST(NULL AS VARCHAR)'))}").fetchall() == [(None,)]
