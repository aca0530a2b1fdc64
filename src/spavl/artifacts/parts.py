"""Tables as immutable parts named by content: `parts/<stage>/<2 hex digits>/<sha256>.parquet`, shared by all runs.

A record lists the parts of its table, so a night refers to the parts of the night before and adds its own. Rows of a part
that are not in a table are listed in its `dropped` parts. Beside each part lies its index, the ids alone, so that a row of
an earlier night is found without reading the part. Parts are written before the record that lists them; a kill in between
leaves parts that nothing lists, and the next try writes the same bytes under the same names.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.artifacts.store import Store
from spavl.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from spavl.artifacts.record import Record

ROWS_PER_GROUP = 32_768
PART_ROWS = 8 * ROWS_PER_GROUP
PART_BYTES = 64 * 2**20
INDEX_COLUMNS = ("id", "outcome")  # a row that ended in an error is not reused
ROW_SCHEMA = b"row_schema"  # in an index's metadata: the schema of its part
DROPPED = "dropped"  # the "stage" under which lists of dropped rows lie


@dataclass(frozen=True, slots=True)
class Part:
    """One immutable Parquet file."""

    path: str
    sha256: str
    num_rows: int
    num_bytes: int

    @property
    def index_path(self) -> str:
        """Of the Parquet file with the part's ids alone; parts of former versions of spavl have none."""
        return index_path(self.path)


@dataclass(frozen=True, slots=True)
class Table:
    """A table as a record lists it: all rows of the parts but the dropped ones, in the order of the parts."""

    row_type: str
    num_rows: int  # without the dropped ones
    parts: tuple[Part, ...]
    dropped: tuple[Part, ...] = ()  # columns `part` (sha256) and `id`

    def to_json(self) -> dict[str, Any]:
        """What stands in the record."""
        return asdict(self)

    @property
    def files(self) -> tuple[Part, ...]:
        """All files that the table needs."""
        return (*self.parts, *self.dropped)


def table_from_json(entry: dict[str, Any]) -> Table:
    """A table of a record or a work list; one file at `path` is how former versions of spavl kept a table."""
    if "parts" not in entry:
        part = Part(entry["path"], entry["sha256"], entry.get("num_rows", 0), 0)
        return Table(entry.get("row_type", ""), part.num_rows, (part,))
    dropped = tuple(Part(**part) for part in entry.get("dropped", ()))
    parts = tuple(Part(**part) for part in entry["parts"])
    return Table(entry["row_type"], entry["num_rows"], parts, dropped)


def table_of(record: Record, name: str = "table") -> Table:
    """One of a record's tables; raises KeyError if it has none of that name."""
    return table_from_json(record.tables[name])


def part_path(stage: str, sha256: str) -> str:
    return f"parts/{stage}/{sha256[:2]}/{sha256}.parquet"


def index_path(path: str) -> str:
    return path.removesuffix(".parquet") + ".ids.parquet"


class PartWriter:
    """Cuts a stream of batches into parts. The cut depends on the rows alone, so the same rows make the same files."""

    def __init__(self, store: Store, stage: str, schema: pa.Schema) -> None:
        self._store, self._stage, self._schema = store, stage, schema
        self._waiting: list[pa.Table] = []
        self._num_waiting = 0
        self._open: _OpenPart | None = None
        self._parts: list[Part] = []

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Take rows with exactly the writer's columns, in order."""
        import pyarrow as pa

        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        if not table.schema.equals(self._schema, check_metadata=True):
            table = table.select(self._schema.names).cast(self._schema)
        self._waiting.append(table)
        self._num_waiting += table.num_rows
        while self._num_waiting >= ROWS_PER_GROUP:
            self._write_group(ROWS_PER_GROUP)

    def close(self) -> tuple[Part, ...]:
        """Write what is left and return all parts, in order."""
        if self._num_waiting:
            self._write_group(self._num_waiting)
        self._end_part()
        return tuple(self._parts)

    def _write_group(self, num_rows: int) -> None:
        import pyarrow as pa

        waiting = pa.concat_tables(self._waiting)
        group = waiting.slice(0, num_rows).combine_chunks()
        rest = waiting.slice(num_rows)
        self._waiting, self._num_waiting = ([rest] if rest.num_rows else []), rest.num_rows
        if self._open is None:
            self._open = _OpenPart(self._schema)
        self._open.write(group)
        if self._open.is_full():
            self._end_part()

    def _end_part(self) -> None:
        if self._open is not None:
            self._parts.append(self._open.store(self._store, self._stage))
            self._open = None


class _OpenPart:
    def __init__(self, schema: pa.Schema) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._buffer, self._index = io.BytesIO(), io.BytesIO()
        self._writer = pq.ParquetWriter(self._buffer, schema, compression="zstd")
        self._ids = None
        self._index_names = [name for name in INDEX_COLUMNS if name in schema.names]
        if "id" in schema.names:
            fields = [schema.field(name) for name in self._index_names]
            metadata = {ROW_SCHEMA: str(schema).encode()}
            self._ids = pq.ParquetWriter(self._index, pa.schema(fields, metadata), compression="zstd")
        self._num_rows = 0

    def write(self, group: pa.Table) -> None:
        self._writer.write_table(group, row_group_size=ROWS_PER_GROUP)
        if self._ids is not None:
            self._ids.write_table(group.select(self._index_names), row_group_size=ROWS_PER_GROUP)
        self._num_rows += group.num_rows

    def is_full(self) -> bool:
        return self._num_rows >= PART_ROWS or self._buffer.tell() >= PART_BYTES

    def store(self, store: Store, stage: str) -> Part:
        self._writer.close()
        content = self._buffer.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        path = part_path(stage, digest)
        if self._ids is not None:
            self._ids.close()
            store.write(index_path(path), self._index.getvalue())
        store.write(path, content)
        return Part(path, digest, self._num_rows, len(content))


def write_parts(store: Store, stage: str, schema: pa.Schema, batches: Iterable[Any]) -> tuple[Part, ...]:
    """The parts of a stream of Arrow tables or batches; none for no rows."""
    writer = PartWriter(store, stage, schema)
    for batch in batches:
        writer.write(batch)
    return writer.close()


def local_file(store: Store, part: Part, cache: Path) -> Path:
    """The part on this disk, its sha256 checked: itself in a local store, otherwise a copy in `cache`, fetched once.

    Raises UserError if it is gone or damaged. A shard's own part has no recorded sha256: it was written whole or not at all.
    """
    path = store.local_path(part.path)
    if path is None:
        path = cache / part.path.replace("/", "-")
        if not path.exists():
            store.fetch(part.path, path)
    if part.sha256:
        _check(path, part.sha256, store.url_of(part.path))
    return path


def _check(path: Path, sha256: str, url: str) -> None:
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(
            f"{url} is gone from the store, and a record names it.",
            next_step="Was it pruned? Start a new run.",
        ) from None
    if found != sha256:
        raise UserError(
            f"{url} is damaged: its sha256 is not the recorded one.", next_step="Start a new run."
        )


def in_batches(rows: Iterable[Any], row_type: type, num_rows: int = ROWS_PER_GROUP) -> Iterator[pa.Table]:
    """Row objects as Arrow tables of at most `num_rows` rows."""
    import itertools

    from spavl.records import to_table

    rows = iter(rows)
    while batch := list(itertools.islice(rows, num_rows)):
        yield to_table(batch, row_type)
