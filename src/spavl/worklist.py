"""The work list of one stage of one run: what is to do, in which group, shard and chunk; written once by `prepare`.

Chunks are cut from the list, never from what is left, so a shard that was killed and started again makes the same parts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from spavl.artifacts.record import stage_folder
from spavl.artifacts.store import Store
from spavl.errors import UserError
from spavl.records import Row, from_table, to_table
from spavl.stage import Chunk, WorkItem

REUSED = (
    "reused"  # folder of the part that holds the rows copied from earlier runs; no group may have this name
)


@dataclass(frozen=True, slots=True)
class WorkRow:
    """One item of the list, in the order of the final rows."""

    id: str
    group: str
    payload: str  # JSON
    shard: int  # 0-based; -1 where the row is reused
    chunk: int  # 0-based within the shard; -1 where the row is reused


@dataclass(frozen=True)
class WorkList:
    """A committed list."""

    rows: list[WorkRow]
    num_shards: dict[str, int]  # group -> shards; groups without new work are absent

    def groups(self) -> list[dict[str, Any]]:
        """What `prepare` reports: one entry per group that has work."""
        sizes = {
            group: sum(row.group == group and row.shard >= 0 for row in self.rows)
            for group in self.num_shards
        }
        return [
            {"group": group, "num_shards": shards, "num_items": sizes[group]}
            for group, shards in self.num_shards.items()
        ]

    def chunks(self, group: str, shard: int) -> list[Chunk]:
        """The chunks of one shard, in order."""
        by_number: dict[int, list[WorkItem]] = {}
        for row in self.rows:
            if row.group == group and row.shard == shard:
                by_number.setdefault(row.chunk, []).append(
                    WorkItem(row.id, row.group, json.loads(row.payload))
                )
        return [Chunk(number, tuple(items)) for number, items in sorted(by_number.items())]


def cut(items: Sequence[WorkItem], reused_ids: Iterable[str], num_shards: int, chunk_size: int) -> WorkList:
    """Lay items that are not reused into shards of whole chunks, group by group.

    Each group gets at most `num_shards` shards and no empty one; consecutive items stay together. Raises ValueError where
    two items have the same id.
    """
    reused = set(reused_ids)
    todo: dict[str, int] = {}
    for item in items:
        todo[item.group] = todo.get(item.group, 0) + (item.id not in reused)
    shards = {group: min(num_shards, math.ceil(count / chunk_size)) for group, count in todo.items() if count}
    chunks_per_shard = {
        group: math.ceil(math.ceil(todo[group] / chunk_size) / shards[group]) for group in shards
    }
    rows, seen, place = [], set(), dict.fromkeys(todo, 0)
    for item in items:
        if item.id in seen:
            raise ValueError(f"the work list has the id {item.id} twice")
        seen.add(item.id)
        payload = json.dumps(item.payload, sort_keys=True, ensure_ascii=False)
        if item.id in reused:
            rows.append(WorkRow(item.id, item.group, payload, -1, -1))
            continue
        shard, chunk = divmod(place[item.group] // chunk_size, chunks_per_shard[item.group])
        place[item.group] += 1
        rows.append(WorkRow(item.id, item.group, payload, shard, chunk))
    used = {group: 1 + max(row.shard for row in rows if row.group == group) for group in shards}
    return WorkList(rows, used)


def write(store: Store, run_id: str, stage: str, worklist: WorkList) -> None:
    """Write the list; the small file that commits it comes last."""
    folder = stage_folder(run_id, stage)
    store.write_table(f"{folder}/worklist.parquet", to_table(worklist.rows, WorkRow))
    store.write(f"{folder}/worklist.json", json.dumps({"num_shards": worklist.num_shards}).encode())


def read(store: Store, run_id: str, stage: str) -> WorkList | None:
    """The committed list, or None where `prepare` has not finished."""
    folder = stage_folder(run_id, stage)
    try:
        commit = json.loads(store.read(f"{folder}/worklist.json"))
    except FileNotFoundError:
        return None
    return WorkList(from_table(store.read_table(f"{folder}/worklist.parquet"), WorkRow), commit["num_shards"])


# ---------------------------------------------------------------------------------------------------------------- parts


def part_path(run_id: str, stage: str, group: str, shard: int, chunk: int) -> str:
    return f"{stage_folder(run_id, stage)}/parts/{group}/{shard:04d}/{chunk:06d}.parquet"


def write_part(store: Store, path: str, rows: Sequence[Row], row_type: type[Row]) -> None:
    store.write_table(path, to_table(rows, row_type))


def read_parts(store: Store, run_id: str, stage: str, row_type: type[Row]) -> list[Row]:
    """All rows that shards have written so far, in no particular order."""
    paths = [path for path in store.walk(f"{stage_folder(run_id, stage)}/parts") if path.endswith(".parquet")]
    return [row for path in paths for row in from_table(store.read_table(path), row_type)]


def finished_chunks(store: Store, run_id: str, stage: str, group: str, shard: int) -> set[int]:
    """Numbers of the chunks whose part is there."""
    names = store.names(f"{stage_folder(run_id, stage)}/parts/{group}/{shard:04d}")
    return {int(name.removesuffix(".parquet")) for name in names if name.endswith(".parquet")}


def parse_shard(text: str) -> tuple[int, int]:
    """`"2/8"` as (2, 8): 0-based shard and number of shards; raises UserError for anything else."""
    shard, separator, total = text.partition("/")
    if not (separator and shard.isdigit() and total.isdigit() and int(shard) < int(total)):
        raise UserError(
            f"--shard {text!r} is not of the form i/n with 0 <= i < n.", next_step="For instance --shard 0/1."
        )
    return int(shard), int(total)
