"""The engine that reads tables: DuckDB in this process, under a memory limit, spilling to a local folder.

A relation is lazy: nothing is read before its rows are asked for, and then only the columns that it names. DuckDB sees
local files only; parts of a remote store are fetched first. Text compares by its UTF-8 bytes, as Python's strings do by
code point, so both sort alike.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spavl.artifacts.external_sort import in_order
from spavl.artifacts.parts import ROW_SCHEMA, Part, Table, local_file
from spavl.artifacts.store import Store
from spavl.config import spavl_home
from spavl.errors import UserError
from spavl.records import arrow_schema, from_table
from spavl.sql import literal
from spavl.stages import row_type_named

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    Relation = duckdb.DuckDBPyRelation

Row = TypeVar("Row")
BATCH_ROWS = 8192


@contextlib.contextmanager
def memory_explained(limit_mb: int) -> Iterator[None]:
    """UserError that names the limit in place of DuckDB's own error, if what was asked for cannot be done within it, spilling or not."""
    try:
        yield
    except Exception as error:
        duckdb = sys.modules.get("duckdb")  # not imported, if no table was opened
        if duckdb is None or not isinstance(error, duckdb.OutOfMemoryException):
            raise
        raise UserError(
            f"the engine of tables needs more memory than tables.memory_limit_mb: {limit_mb} MB.",
            next_step="Raise it in the profile, with the memory of the machine or pod, and start a new run: it reuses what is done.",
        ) from error


class Engine:
    """One connection. Views have names; SQL refers to them by name."""

    def __init__(
        self, store: Store, scratch: Path, cache: Path, *, memory_limit_mb: int = 400, num_threads: int = 2
    ) -> None:
        import duckdb

        self._store, self._cache, self._scratch = store, cache, scratch
        self._checked: dict[str, Path] = {}
        self._registered: set[str] = set()  # views that are Arrow tables
        self._functions: set[str] = set()
        self._connection = duckdb.connect(
            config={
                "memory_limit": f"{memory_limit_mb}MB",
                "threads": num_threads,
                "temp_directory": str(scratch / "spill"),
                "autoinstall_known_extensions": False,
            }
        )

    def sql(self, query: str) -> Relation:
        """The lazy relation of a SELECT over the views."""
        return self._connection.sql(query)

    def view(self, name: str, content: Relation | pa.Table | str) -> Relation:
        """Give a relation, an Arrow table or a SELECT a name; a name may be given anew."""
        relation = self.sql(content) if isinstance(content, str) else content
        if not hasattr(relation, "create_view"):
            self._registered.add(name)
            self._connection.register(name, relation)
            return self._connection.table(name)
        if name in self._registered:  # a relation would not take the place of a table of this process
            self._connection.unregister(name)
            self._registered.discard(name)
        relation.create_view(name, replace=True)
        return self._connection.table(name)

    def relation_of(
        self, table: Table, row_type: type | None = None, *, is_ordered: bool = False
    ) -> Relation:
        """All rows of a recorded table; `is_ordered`: in the order of its parts, which is a sort if rows are dropped.

        Raises ValueError if its columns are not the row type's: it was made by a version of spavl with other columns.
        """
        files = [str(self._file(part)) for part in table.parts]
        if not files:
            return self._empty(row_type or row_type_named(table.row_type))
        if row_type is not None:
            self._check_schema(files[0], row_type)
        if not table.dropped:
            return self.sql(f"SELECT * FROM {_parquet(files)}")
        of_file = enumerate((str(self._file(part)), part.sha256) for part in table.parts)
        names = ", ".join(f"({n}, {literal(file)}, {literal(digest)})" for n, (file, digest) in of_file)
        order = "ORDER BY number, file_row_number" if is_ordered else ""
        return self.sql(
            f"""SELECT rows.* EXCLUDE (filename, file_row_number)
            FROM {_parquet(files, "filename = true, file_row_number = true")} rows
            JOIN (VALUES {names}) files(number, file, digest) ON rows.filename = files.file
            WHERE NOT EXISTS (
                FROM {_parquet([str(self._file(part)) for part in table.dropped])} dropped
                WHERE dropped.part = digest AND dropped.id = rows.id
            ) {order}"""
        )

    def function(self, name: str, of_texts: Callable[[pa.ChunkedArray], pa.Array]) -> None:
        """Give SQL a function of one text that Python computes, thousands of rows at a time; texts are never NULL."""
        from duckdb.sqltypes import VARCHAR

        if name not in self._functions:
            # DuckDB evaluates annotations, which may name types that are there for type checking only: it gets none
            def called(texts):  # type: ignore[no-untyped-def]
                return of_texts(texts)

            self._connection.create_function(name, called, [VARCHAR], VARCHAR, type="arrow")
            self._functions.add(name)

    def execute(self, statement: str) -> None:
        """Run a statement that gives nothing: a table is made or filled."""
        self._connection.execute(statement)

    def parts_sql(self, parts: Sequence[Part]) -> str:
        """The rows of parts, as SQL that stands after FROM."""
        return _parquet([str(self._file(part)) for part in parts])

    def ids_sql(self, part: Part) -> str:
        """The ids of a part, from its index, as SQL that stands after FROM."""
        return _parquet([str(self._index(part))])

    def usable_ids_sql(self, parts: Sequence[Part]) -> str:
        """The ids of parts with the same columns, without those of rows that ended in an error; as SQL that stands after FROM.

        A row id may come twice: the shards of a run that was never sealed may have answered twice.
        """
        files = [self._index(part) for part in parts]
        condition = " WHERE outcome <> 'error'" if "outcome" in _schema(files[0]).names else ""
        return f"(SELECT id FROM {_parquet([str(file) for file in files])}{condition})"

    def rows_of_images_sql(self, parts: Sequence[Part], images: str) -> str:
        """Ids of the rows of parts that name an image of the view `images` (column id), as a SELECT.

        An image is named in `image_id`, `duplicate_group` or `id`, or in the JSON of an image in `image`.
        """
        names = _schema(self._file(parts[0])).names
        columns = [name for name in ("id", "image_id", "duplicate_group") if name in names]
        naming = columns + (["json_extract_string(image, '$.id')"] if "image" in names else [])
        conditions = " OR ".join(f"{name} IN (SELECT id FROM {images})" for name in naming)
        return f"SELECT id FROM {self.parts_sql(parts)} WHERE {conditions}"

    def has_columns(self, part: Part, schema: pa.Schema) -> bool:
        """Whether the part has exactly these columns; one made by another version of spavl may have others."""
        found = _schema(self._index(part))
        if found.metadata and ROW_SCHEMA in found.metadata:
            return found.metadata[ROW_SCHEMA] == str(schema).encode()
        return _schema(self._file(part)).equals(schema)

    def batches(self, relation: Relation, num_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The relation's rows, batch by batch: the only memory is the engine's and one batch."""
        yield from relation.to_arrow_reader(num_rows)

    def in_order(self, relation: Relation, place: str, num_rows: int) -> Iterator[pa.Table]:
        """The relation's rows by the column `place` (0 to `num_rows` - 1, each once), which is left out; for rows too wide for ORDER BY."""
        for table in in_order(self.batches(relation), place, self._scratch, num_rows):
            yield table.drop_columns([place])

    def in_sorted_order(self, query: str, order: str) -> Iterator[pa.Table]:
        """The rows of a SELECT, whose `id` is unique, by the SQL expressions of `order`; for rows too wide for ORDER BY."""
        self.sql(query).create_view("to_sort", replace=True)
        self.execute(
            f"CREATE OR REPLACE TEMP TABLE places AS SELECT id, row_number() OVER (ORDER BY {order}) - 1 AS __place FROM to_sort"
        )
        return self.in_order(
            self.sql("SELECT to_sort.*, __place FROM to_sort JOIN places USING (id)"),
            "__place",
            self.value("SELECT count(*) FROM places"),
        )

    def rows(self, relation: Relation, row_type: type[Row], num_rows: int = BATCH_ROWS) -> Iterator[Row]:
        """Row objects, made batch by batch."""
        import pyarrow as pa

        schema = arrow_schema(row_type)
        for batch in self.batches(relation.select(*(f'"{name}"' for name in schema.names)), num_rows):
            yield from from_table(pa.Table.from_batches([batch]).cast(schema), row_type)

    def value(self, query: str) -> Any:
        """The one value of a query of one row and one column."""
        return self.sql(query).fetchall()[0][0]

    def close(self) -> None:
        self._connection.close()

    def _file(self, part: Part) -> Path:
        if part.path not in self._checked:
            self._checked[part.path] = local_file(self._store, part, self._cache)
        return self._checked[part.path]

    def _index(self, part: Part) -> Path:
        """The file with the part's ids; of a part without index, the part."""
        path = self._store.local_path(part.index_path)
        if path is None:
            return self._fetched_index(part)
        return path if path.exists() else self._file(part)

    def _fetched_index(self, part: Part) -> Path:
        target = self._cache / f"{part.sha256}.ids.parquet"
        if target.exists():
            return target
        try:
            return self._store.fetch(part.index_path, target)  # whole or not at all, whoever else fetches it
        except FileNotFoundError:
            return self._file(part)

    def _empty(self, row_type: type) -> Relation:
        name = f"no_{row_type.__name__}"
        self._connection.register(name, arrow_schema(row_type).empty_table())
        return self._connection.table(name)

    @staticmethod
    def _check_schema(file: str, row_type: type) -> None:
        found, expected = _schema(Path(file)), arrow_schema(row_type)
        if not found.equals(expected):
            raise ValueError(
                f"a table of {row_type.__name__} has the columns {found.names}, not {expected.names}"
            )


@contextlib.contextmanager
def small_engine(store: Store) -> Iterator[Engine]:
    """An engine for a table or two outside of a run's step."""
    with tempfile.TemporaryDirectory(prefix="spavl-tables-") as scratch:
        engine = Engine(store, Path(scratch), spavl_home() / "cache" / "parts")
        try:
            yield engine
        finally:
            engine.close()


def _schema(file: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    return pq.read_schema(file)


def _parquet(files: list[str], options: str = "") -> str:
    listed = ", ".join(literal(file) for file in files)
    return f"read_parquet([{listed}]{', ' + options if options else ''})"
