"""The work list of one stage of one run: what is to do, in which group, shard and chunk; written once by `prepare`.

    worklist.json                     commits the list: its groups, and the parts of earlier runs that hold the reused rows
    work/<group>/<shard>.parquet      one file per shard: chunk, id, table and payload, in the order of the list
    parts/<group>/<shard>/<chunk>.parquet   the rows of a chunk, written whole by a shard

A shard opens its own file and nothing else. Chunks are cut from the list, never from what is left, so a shard that was
killed and started again makes the same parts.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.artifacts.parts import Table, table_from_json
from spavl.artifacts.record import stage_folder
from spavl.artifacts.store import Store
from spavl.errors import UserError
from spavl.records import Row, from_table, to_table
from spavl.stage import Chunk, WorkItem

if TYPE_CHECKING:
    import pyarrow as pa

FIXED = ("chunk", "id", "table")  # columns of a shard's file; the others are the payload
BATCH_ROWS = 1024  # of a shard's file in memory at once, and the chunk in hand
JSON_PAYLOAD = "payload_json"  # the one payload column of a list that was made of WorkItems


@dataclass(frozen=True, slots=True)
class Group:
    """Items that one process does, by model."""

    group: str
    num_shards: int
    num_items: int


@dataclass(frozen=True, slots=True)
class WorkList:
    """The committed list."""

    num_items: int
    groups: tuple[Group, ...]  # those that have work, in the order of the list
    reused: Mapping[str, Table]  # table -> the rows of earlier runs

    @property
    def num_reused(self) -> int:
        return sum(table.num_rows for table in self.reused.values())

    @property
    def num_shards(self) -> dict[str, int]:
        return {group.group: group.num_shards for group in self.groups}

    def outcome_groups(self) -> list[dict[str, Any]]:
        """What `prepare` reports: one entry per group that has work."""
        return [
            {"group": group.group, "num_shards": group.num_shards, "num_items": group.num_items}
            for group in self.groups
        ]


def commit(store: Store, run_id: str, stage: str, made: WorkList) -> None:
    """Write the small file that makes the list exist; the shards' files are there already."""
    content = {
        "num_items": made.num_items,
        "num_shards": made.num_shards,
        "groups": made.outcome_groups(),
        "reused": {name: table.to_json() for name, table in made.reused.items()},
    }
    store.write(f"{stage_folder(run_id, stage)}/worklist.json", json.dumps(content, indent=1).encode())


def read(store: Store, run_id: str, stage: str) -> WorkList | None:
    """The committed list, or None if `prepare` has not finished.

    Raises UserError for the list of a former version of spavl, which had another form.
    """
    try:
        content = json.loads(store.read(f"{stage_folder(run_id, stage)}/worklist.json"))
    except FileNotFoundError:
        return None
    if "num_items" not in content:
        raise UserError(
            f"the work list of `{stage}` of run {run_id} was made by a former version of spavl.",
            next_step="Start a new run: it reuses what is done.",
        )
    return WorkList(
        content["num_items"],
        tuple(Group(**group) for group in content["groups"]),
        {name: table_from_json(table) for name, table in content["reused"].items()},
    )


def shard_path(run_id: str, stage: str, group: str, shard: int) -> str:
    return f"{stage_folder(run_id, stage)}/work/{group}/{shard:04d}.parquet"


@dataclass(frozen=True)
class ShardFile:
    """A shard's own list, on this disk."""

    path: Path
    group: str

    @classmethod
    def of(cls, store: Store, scratch: Path, run_id: str, stage: str, group: str, shard: int) -> ShardFile:
        """The file itself in a local store, otherwise a copy in `scratch`."""
        path = shard_path(run_id, stage, group, shard)
        copy = scratch / "work" / f"{group}-{shard:04d}.parquet"
        local = store.local_path(path) or (copy if copy.exists() else store.fetch(path, copy))
        return cls(local, group)

    def num_items(self) -> int:
        import pyarrow.parquet as pq

        return pq.read_metadata(self.path).num_rows

    def chunks(self, leave_out: frozenset[int] = frozenset()) -> Iterator[Chunk]:
        """The chunks in order, made one by one; those in `leave_out` are passed over."""
        for number, rows in self._tables(None):
            if number not in leave_out:
                yield Chunk(number, tuple(_items(rows, self.group)))

    def ids(self) -> Iterator[tuple[int, pa.Table]]:
        """Per chunk its number and a table of id and table, in order."""
        return self._tables(list(FIXED))

    def _tables(self, columns: list[str] | None) -> Iterator[tuple[int, pa.Table]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        waiting: list[pa.RecordBatch] = []  # of one chunk, which may span two batches
        number = None
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns, use_threads=False):
                for chunk, rows in _by_chunk(batch):
                    if number is not None and chunk != number:
                        yield number, pa.Table.from_batches(waiting)
                        waiting = []
                    number = chunk
                    waiting.append(rows)
        if number is not None:
            yield number, pa.Table.from_batches(waiting)


def _by_chunk(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Slices of a batch whose chunks lie one behind the other."""
    import numpy as np

    numbers = batch["chunk"].to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist()]
    for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
        yield int(numbers[start]), batch.slice(start, end - start)


def _items(rows: pa.Table, group: str) -> Iterator[WorkItem]:
    names = tuple(name for name in rows.column_names if name not in FIXED)
    columns = [rows[name].to_pylist() for name in names]
    if names == (JSON_PAYLOAD,):
        payloads = map(json.loads, columns[0])
    elif names:
        payloads = (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))
    else:
        payloads = ({} for _ in range(rows.num_rows))
    for id, table, payload in zip(rows["id"].to_pylist(), rows["table"].to_pylist(), payloads, strict=True):
        yield WorkItem(id, group, payload, table)


# ---------------------------------------------------------------------------------------------------------------- parts


def part_path(run_id: str, stage: str, group: str, shard: int, chunk: int) -> str:
    return f"{stage_folder(run_id, stage)}/parts/{group}/{shard:04d}/{chunk:06d}.parquet"


def write_part(store: Store, path: str, rows: Sequence[Row], row_type: type[Row]) -> None:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    # read once, whole, and soon removed: dictionaries and statistics would cost half of the writing and save nothing
    pq.write_table(
        to_table(rows, row_type), buffer, compression="zstd", use_dictionary=False, write_statistics=False
    )
    store.write(path, buffer.getvalue())


def read_part(content: bytes) -> pa.Table:
    """The rows of a part from its bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(content)) as file:  # pq.read_table looks for a dataset first
        return file.read(use_threads=False)


def part_paths(store: Store, run_id: str, stage: str) -> list[str]:
    """The parts that shards have written so far, in the order of their names."""
    return [path for path in store.walk(f"{stage_folder(run_id, stage)}/parts") if path.endswith(".parquet")]


def read_parts(store: Store, run_id: str, stage: str, row_type: type[Row]) -> list[Row]:
    """All rows that shards have written so far, as objects."""
    paths = part_paths(store, run_id, stage)
    return [row for content in store.read_many(paths) for row in from_table(read_part(content), row_type)]


def finished_chunks(store: Store, run_id: str, stage: str, group: str, shard: int) -> frozenset[int]:
    """Numbers of the chunks whose part is there."""
    names = store.names(f"{stage_folder(run_id, stage)}/parts/{group}/{shard:04d}")
    return frozenset(int(name.removesuffix(".parquet")) for name in names if name.endswith(".parquet"))


def keep_requests(store: Store, folder: str, unit: str) -> None:
    """Leave the number of requests that this process has sent to S3, for the record; nothing for a disk."""
    if store.requests:
        store.write(f"{folder}/requests/{unit}.json", json.dumps(dict(store.requests)).encode())


def requests_of(store: Store, folder: str) -> dict[str, dict[str, int]]:
    """prepare and work -> the requests that their processes have left, by kind."""
    paths = store.walk(f"{folder}/requests")
    found: dict[str, Counter[str]] = {}
    for path, content in zip(paths, store.read_many(paths), strict=True):
        step = "prepare" if path.endswith("/prepare.json") else "work"
        found.setdefault(step, Counter()).update(json.loads(content))
    return {step: dict(counts) for step, counts in found.items()}


def parse_shard(text: str) -> tuple[int, int]:
    """`"2/8"` as (2, 8): 0-based shard and number of shards; raises UserError for anything else."""
    shard, separator, total = text.partition("/")
    if not (separator and shard.isdigit() and total.isdigit() and int(shard) < int(total)):
        raise UserError(
            f"--shard {text!r} is not of the form i/n with 0 <= i < n.", next_step="For instance --shard 0/1."
        )
    return int(shard), int(total)
