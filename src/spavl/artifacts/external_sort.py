"""Puts wide rows in order within a bounded memory: the engine gives each row its place, and rows are dealt to files by it.

DuckDB sorts narrow rows well under a memory limit, but a sort of rows with texts that goes beyond the limit fails (2.0.1:
300,000 rows of 1 kB under 400 MB). Here each file gets the rows of BUCKET_ROWS places, and is sorted alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

BUCKET_ROWS = 25_000
WAITING_ROWS = 50_000  # of all buckets together, before the fullest is written


def in_order(batches: Iterable[pa.RecordBatch], place: str, scratch: Path) -> Iterator[pa.Table]:
    """The rows of batches by their column `place` (0, 1, 2, …, each once), in tables of up to BUCKET_ROWS."""
    import pyarrow.compute as pc

    return in_buckets(batches, lambda batch: pc.divide(batch[place], BUCKET_ROWS), [place], scratch)


def in_buckets(
    batches: Iterable[pa.RecordBatch],
    bucket_of: Callable[[pa.RecordBatch], pa.Array],
    order: Sequence[str],
    scratch: Path,
) -> Iterator[pa.Table]:
    """The rows of batches, bucket by bucket in the order of their numbers (int64, of each row), each in the order of columns."""
    import pyarrow.compute as pc

    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="order-") as folder:
        buckets = _Buckets(Path(folder))
        for batch in batches:
            buckets.deal(batch, bucket_of(batch))
        for table in buckets.read():
            yield table.take(pc.sort_indices(table, [(name, "ascending") for name in order]))


class _Buckets:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: dict[int, list[pa.Table]] = {}
        self._num_waiting: dict[int, int] = {}
        self._files: dict[int, list[Path]] = {}

    def deal(self, batch: pa.RecordBatch, numbers: pa.Array) -> None:
        """Lay the rows beside those that go to the same buckets."""
        import pyarrow as pa
        import pyarrow.compute as pc

        order = pc.sort_indices(numbers)
        rows = pa.Table.from_batches([batch])
        ends = numbers.take(order).value_counts()
        start = 0
        for entry in ends.to_pylist():
            # a copy: a slice would keep the whole batch until the last of its buckets is written
            self._lay(entry["values"], rows.take(order.slice(start, entry["counts"])))
            start += entry["counts"]
        while sum(self._num_waiting.values()) > WAITING_ROWS:
            self._write(max(self._num_waiting, key=lambda number: self._num_waiting[number]))

    def read(self) -> Iterator[pa.Table]:
        """Bucket after bucket; each is forgotten when the next is asked for."""
        import pyarrow as pa
        import pyarrow.ipc

        for number in sorted({*self._files, *self._waiting}):
            tables = self._waiting.pop(number, [])
            for file in self._files.get(number, ()):
                with pa.ipc.open_file(file) as opened:
                    tables.append(opened.read_all())
                file.unlink()
            yield pa.concat_tables(tables)

    def _lay(self, number: int, rows: pa.Table) -> None:
        self._waiting.setdefault(number, []).append(rows)
        self._num_waiting[number] = self._num_waiting.get(number, 0) + rows.num_rows

    def _write(self, number: int) -> None:
        import pyarrow as pa
        import pyarrow.ipc

        tables, num_files = self._waiting.pop(number), len(self._files.setdefault(number, []))
        del self._num_waiting[number]
        path = self._folder / f"{number}-{num_files}.arrow"
        rows = pa.concat_tables(tables).combine_chunks()
        with pa.ipc.new_file(path, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(rows)
        self._files[number].append(path)
