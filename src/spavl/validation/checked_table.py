"""The table under check, read by the engine: only the columns asked for, derived ones computed on the way.

Texts are never loaded to be measured, and rows come as Arrow batches or as a frame, so a check's memory is that of the
columns in hand. Flags are numbers: 1.0, 0.0, and missing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from spavl.records import arrow_schema
from spavl.sql import literal
from spavl.validation.columns import as_number, known_columns, own_columns_sql
from spavl.validation.derivation import derivation_of
from spavl.validation.measures import measure_columns

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from spavl.artifacts.engine import Relation

    Value = str | int | float | bool

_VIEW = "spavl_table_under_check"
# a CTE that is used twice would be kept whole in memory, texts included
_ROWS = f"WITH rows AS NOT MATERIALIZED (SELECT *, row_number() OVER () - 1 AS row FROM {_VIEW})"
MAX_CATEGORIES = 1000
_ID = "spavl_id"
_SQL_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}


class CheckedTable:
    """A stage's table with its derived columns and measures. A relation is read once for each frame: let it be of files."""

    def __init__(
        self,
        table: Relation | pa.Table,
        row_type: type,
        stage: str,
        counts: Mapping[str, int],
        measures: Mapping[str, float | None],
    ) -> None:
        """Raises ValueError if the columns are not the row type's, KeyError if a count is not given or a measure not declared."""
        self.kinds = known_columns(row_type, stage)
        self.constants = measure_columns(stage, measures)  # the same in every row, NaN if missing
        self._relation = _opened(table, row_type)
        self.num_rows: int = self._query("SELECT count(*) FROM rows").fetchall()[0][0]
        self._expressions = own_columns_sql(row_type)
        derivation = derivation_of(stage)
        self._derived = set(derivation.columns)
        if derivation.sql:
            self._expressions |= {name: as_number(made) for name, made in derivation.sql(counts).items()}
        elif derivation.derive and self.num_rows:
            self._add(derivation.derive(self._raw_frame(row_type), counts), row_type)
        self._expressions |= {name: _constant(value) for name, value in self.constants.items()}
        missing = self.kinds.keys() - self._expressions.keys()
        assert not missing or not self.num_rows, f"{stage} does not derive {sorted(missing)}"

    def __contains__(self, column: str) -> bool:
        return column in self.kinds

    @functools.cached_property
    def long_columns(self) -> frozenset[str]:
        """Text columns with more than MAX_CATEGORIES different values."""
        texts = [name for name, kind in self.kinds.items() if kind == "text"]
        return frozenset(
            name for name in texts if self._num_values(name, MAX_CATEGORIES + 1) > MAX_CATEGORIES
        )

    def frame(
        self, columns: Iterable[str], *, ranked: Set[str] = frozenset(), named: Set[str] = frozenset()
    ) -> pd.DataFrame:
        """These columns of all rows, as far as they are known.

        In a `ranked` column each value is a number, the same for the same value; a `named` one with few values is categorical.
        Rows are in the order of the table unless a column is ranked.
        """
        import pandas as pd

        known = [name for name in columns if name in self._expressions]
        if not known:
            return pd.DataFrame(index=pd.RangeIndex(self.num_rows))
        return self._pandas(self._query(self._select(known, ranked)).to_arrow_table(), named)

    def buckets(
        self, columns: Iterable[str], num_rows: int, *, by: Sequence[str], ranked: Set[str], named: Set[str]
    ) -> Iterator[pd.DataFrame]:
        """The same in pieces of about `num_rows` rows, none of them empty; rows with equal values of the columns `by` are in one piece."""
        known = [name for name in columns if name in self._expressions]
        number = -(-self.num_rows // num_rows)
        bucket = f"hash({', '.join(self._expressions[name] for name in by)}) % {number}"
        for wanted in range(number):
            query = f"{self._select(known, ranked)} WHERE {bucket} = {wanted}"
            frame = self._pandas(self._query(query).to_arrow_table(), named)
            if len(frame):
                yield frame

    def slices(
        self, columns: Iterable[str], num_rows: int, *, named: Set[str] = frozenset(), with_ids: bool = False
    ) -> Iterator[pd.DataFrame]:
        """The same in the order of the table, at least `num_rows` rows at a time; `with_ids` makes the id the index, "row"."""
        known = [name for name in columns if name in self._expressions]
        ids = [f'{self._expressions["id"]} AS "{_ID}"'] if with_ids or not known else []
        query = self._select(known, frozenset(), *ids)
        for table in _gathered(self._query(query).to_arrow_reader(num_rows), num_rows):
            frame = self._pandas(table, named)
            yield frame.set_index(_ID).rename_axis("row") if with_ids else frame

    def maximum(self, column: str) -> float:
        """NaN if the column has no value."""
        value = as_number("value")
        query = f"SELECT max({value}) FROM (SELECT {self._expressions[column]} AS value FROM rows) WHERE NOT isnan({value})"
        found = self._query(query).fetchall()[0][0]
        return float("nan") if found is None else found

    def ids_of_repeated(
        self, columns: Iterable[str], condition: Mapping[str, Value], num_ids: int
    ) -> tuple[str, ...]:
        """Ids of rows whose values of `columns` another row has too, in the order of the table; rows without any value aside."""
        values = [self._expressions[name] for name in columns]
        kept = [f"({' OR '.join(f'{value} IS NOT NULL' for value in values)})"]
        kept += [f"{self._expressions[name]} = {_constant(value)}" for name, value in condition.items()]
        query = f"""SELECT id FROM (
            SELECT id, row, count(*) OVER (PARTITION BY {", ".join(values)}) AS number FROM rows
            WHERE {" AND ".join(kept)}
        ) WHERE number > 1 ORDER BY row LIMIT {num_ids}"""
        return tuple(str(id) for (id,) in self._query(query).fetchall())

    def _num_values(self, column: str, limit: int) -> int:
        """How many different values the column has, counted up to the limit: no more rows are read than that takes."""
        value = self._expressions[column]
        values = f"SELECT DISTINCT {value} FROM rows WHERE {value} IS NOT NULL LIMIT {limit}"
        return self._query(f"SELECT count(*) FROM ({values})").fetchall()[0][0]

    def _query(self, query: str) -> Relation:
        return self._relation.query(_VIEW, f"{_ROWS} {query}")

    def _pandas(self, table: pa.Table, named: Set[str]) -> pd.DataFrame:
        for number, field in enumerate(table.schema):
            if field.name in named - self.long_columns and self.kinds[field.name] == "text":
                table = table.set_column(number, field.name, table.column(number).dictionary_encode())
        return table.to_pandas()

    def _select(self, columns: Sequence[str], ranked: Set[str], *more: str) -> str:
        made = ((name, self._expressions[name]) for name in columns)
        named = [f'{_rank(value) if name in ranked else value} AS "{name}"' for name, value in made]
        # what looks at other rows may come in another order
        is_ordered = not ranked and not self._derived.isdisjoint(columns)
        return f"SELECT {', '.join([*named, *more])} FROM rows{' ORDER BY row' if is_ordered else ''}"

    def _raw_frame(self, row_type: type) -> pd.DataFrame:
        """The whole table with flags as numbers, for stages whose tables are small."""
        schema = arrow_schema(row_type)
        raw = self._relation.to_arrow_table().cast(schema).to_pandas()
        flags = {field.name: "float64" for field in schema if str(field.type) == "bool"}
        return raw.astype(flags)

    def _add(self, made: Mapping[str, Any], row_type: type) -> None:
        """Derived columns of a small table: single numbers are constants, series become columns of the table."""
        import pyarrow as pa

        table = self._relation.to_arrow_table()
        for name, value in made.items():
            if isinstance(value, float):
                self.constants[name] = value
            else:
                table = table.append_column(name, pa.array(value, pa.float64(), from_pandas=True))
                self._expressions[name] = f'"{name}"'
        self._relation = _of_arrow(table)


def _opened(table: Relation | pa.Table, row_type: type) -> Relation:
    schema = arrow_schema(row_type)
    if hasattr(table, "schema"):
        is_same, names, relation = table.schema.equals(schema), table.schema.names, _of_arrow(table)
    else:
        is_same, names, relation = _has_types_of(table, schema), table.columns, table
    if not is_same:
        raise ValueError(f"the table's columns {names} are not those of {row_type.__name__}")
    return relation


def _gathered(batches: Iterable[pa.RecordBatch], num_rows: int) -> Iterator[pa.Table]:
    """Batches put together to tables of at least `num_rows` rows, the last one aside; the engine ends a batch with a row group."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting += [batch] if batch.num_rows else []
        if sum(len(batch) for batch in waiting) >= num_rows:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _of_arrow(table: pa.Table) -> Relation:
    import duckdb

    return duckdb.connect(config={"threads": 2}).from_arrow(table)


def _has_types_of(relation: Relation, schema: pa.Schema) -> bool:
    wanted = [_SQL_TYPES.get(str(field.type), "VARCHAR[]") for field in schema]
    return relation.columns == schema.names and [str(kind) for kind in relation.types] == wanted


def _rank(expression: str) -> str:
    return f"CASE WHEN {expression} IS NOT NULL THEN dense_rank() OVER (ORDER BY {expression}) END"


def _constant(value: Value) -> str:
    """A constant; of a number by way of its text, which the engine reads to the last digit."""
    if isinstance(value, str):
        return literal(value)
    return as_number("NULL" if value != value else literal(repr(float(value))))
