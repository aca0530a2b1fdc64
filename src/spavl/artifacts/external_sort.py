"""Puts wide rows in order within a bounded memory: the engine gives each row its place, and rows are dealt to files by it.

DuckDB sorts narrow rows well under a memory limit, but a sort of rows with texts that goes beyond the limit fails (2.0.1:
300,000 rows of 1 kB under 400 MB). Here rows are dealt to NUM_BUCKETS files by ranges of places, and each file is sorted
alone; a file that is too large for that is dealt again. Few rows are sorted as they are, without a file.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

NUM_BUCKETS = 64
BUCKET_BYTES = 24 * 2**20  # that are sorted at once
WAITING_BYTES = 24 * 2**20  # of all buckets together, before they are written


def in_order(
    batches: Iterable[pa.RecordBatch], place: str, scratch: Path, num_places: int, then: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """The rows of batches by their column `place` (numbers from 0 to `num_places` - 1), in tables of some 24 MB at most.

    Larger is only a table of a single place. Rows of one place come by their columns `then`.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="order-") as folder:
        yield from _in_order(batches, [place, *then], Path(folder), range(num_places))


def _in_order(
    batches: Iterable[pa.RecordBatch], order: list[str], folder: Path, places: range
) -> Iterator[pa.Table]:
    with _Buckets(folder, order, places) as buckets:
        for batch in batches:
            buckets.deal(batch)
        if not buckets.has_files:
            yield from buckets.waiting()
            return
        buckets.write()
    for number, part in enumerate(buckets.ranges):
        file = folder / str(number)
        if buckets.num_bytes[number] > BUCKET_BYTES and len(part) > 1:
            yield from _in_order(_batches(file), order, _folder(folder / f"of-{number}"), part)
        elif buckets.num_bytes[number]:
            yield _sorted(list(_batches(file)), order)
        file.unlink(missing_ok=True)


class _Buckets:
    """Rows on their way to one file per range of places; the files are there until the folder goes."""

    def __init__(self, folder: Path, order: list[str], places: range) -> None:
        self._folder, self._order, self._first = folder, order, places.start
        self._width = max(1, -(-len(places) // NUM_BUCKETS))
        self.ranges = [places[at : at + self._width] for at in range(0, len(places), self._width)]
        self.num_bytes = [0] * len(self.ranges)
        self._waiting: list[pa.RecordBatch] = []
        self._num_waiting = 0  # bytes
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> _Buckets:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._open.close()

    @property
    def has_files(self) -> bool:
        return bool(self._writers)

    def deal(self, batch: pa.RecordBatch) -> None:
        """Take rows, and write all that wait if they are many."""
        self._waiting.append(batch)
        self._num_waiting += batch.nbytes
        if self._num_waiting > WAITING_BYTES:
            self.write()

    def waiting(self) -> Iterator[pa.Table]:
        """What was never written, in order: one table, or none."""
        if self._waiting:
            yield _sorted(self._waiting, self._order)

    def write(self) -> None:
        """Append what waits to the files."""
        import numpy as np

        if not self._waiting:
            return
        rows = _joined(self._waiting)
        self._waiting, self._num_waiting = [], 0
        numbers = (rows[self._order[0]].to_numpy() - self._first) // self._width
        rows = rows.take(np.argsort(numbers.astype(np.uint8), kind="stable"))  # bytes are sorted by counting
        starts = [0, *np.cumsum(np.bincount(numbers, minlength=len(self.ranges))).tolist()]
        for number, (start, end) in enumerate(itertools.pairwise(starts)):
            if start < end:
                part = rows.slice(start, end - start)
                self.num_bytes[number] += part.nbytes
                self._writer(number, rows.schema).write_batch(part)

    def _writer(self, number: int, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
        import pyarrow as pa
        import pyarrow.ipc

        if number not in self._writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            writer = pa.ipc.new_stream(str(self._folder / str(number)), schema, options=options)
            self._writers[number] = self._open.enter_context(writer)
        return self._writers[number]


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.ipc

    with pa.OSFile(str(file)) as opened, pa.ipc.open_stream(opened) as reader:
        yield from reader


def _sorted(batches: list[pa.RecordBatch], order: list[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = _joined(batches)
    return pa.Table.from_batches([rows.take(pc.sort_indices(rows, [(name, "ascending") for name in order]))])


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch: pieces of many small ones would cost more than their rows."""
    import pyarrow as pa

    return pa.concat_batches(batches)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
