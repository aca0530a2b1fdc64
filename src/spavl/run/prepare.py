"""`prepare`: writes the stage's work list once, with the rows that earlier runs already have."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.artifacts.engine import Engine
from spavl.artifacts.parts import Table
from spavl.artifacts.store import Store
from spavl.artifacts.without_pandas import convert_without_pandas
from spavl.outcome import Outcome
from spavl.plan import Plan
from spavl.run import work_list
from spavl.run.reuse import reused_rows
from spavl.run.stage_run import StageRun
from spavl.run.work_list import JSON_PAYLOAD, Group, WorkList
from spavl.stage import Items, WorkItem

if TYPE_CHECKING:
    import pyarrow as pa

SPOOLED_ROWS = 4096  # of WorkItems in memory at once
ROWS_PER_GROUP = 4096  # of a shard's file: what a shard holds of its list at once


def prepare(store: Store, plan: Plan, stage: str) -> Outcome:
    """Write the stage's work list, or find it."""
    convert_without_pandas()
    run = StageRun(store, plan, stage)
    if outcome := run.settled("prepare"):
        return outcome
    made = work_list.read(store, plan.run_id, stage)
    if made is None:
        with run.working("prepare") as (context, held):
            engine = context.tables.engine
            num_items = list_items(engine, run.module.prepare(context), context.scratch)
            reused = {} if run.info.work == "checkpoints" else reused_rows(run, engine, context.forgotten)
            groups = cut(engine, getattr(run.config, "num_shards", 1), getattr(run.config, "chunk_size", 1))
            held.check()
            write_shards(engine, ShardWriter(store, plan.run_id, stage, context.scratch, groups))
            made = _work_list(num_items, groups, reused)
            held.check()
            work_list.commit(store, plan.run_id, stage, made)
    counts = {"items": made.num_items, "reused": made.num_reused}
    counts["to_do"] = made.num_items - made.num_reused
    return run.outcome("prepare", counts=counts, groups=made.outcome_groups())


def list_items(engine: Engine, prepared: Items | Iterable[WorkItem], scratch: Path) -> int:
    """Make the view `prepared` (all columns) and the table `items` (id, group, table, and the columns of the order); returns the
    number of items.

    Raises ValueError if two items have the same id.
    """
    if isinstance(prepared, Items):
        relation, order = prepared.relation, prepared.order
    else:
        relation, order = engine.sql(f"FROM '{_spooled(prepared, scratch)}'"), ("place_given",)
    relation.create_view("prepared", replace=True)
    table = '"table"' if "table" in relation.columns else "'table' AS \"table\""
    keys = ", ".join(f'"{name}" AS order_{number}' for number, name in enumerate(order))
    engine.execute(f'CREATE TEMP TABLE items AS SELECT id, "group", {table}, {keys} FROM prepared')
    engine.view("order_names", _names(order))
    # ids that share a hash of 8 bytes are looked at again: numbers take a fifth of the memory
    shared = "SELECT hash(id) FROM items GROUP BY 1 HAVING count(*) > 1"
    again = f"SELECT id FROM items WHERE hash(id) IN ({shared}) GROUP BY id HAVING count(*) > 1 LIMIT 1"
    if twice := engine.sql(again).fetchall():
        raise ValueError(f"the work list has the id {twice[0][0]} twice")
    return engine.value("SELECT count(*) FROM items")


def _names(order: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa

    return pa.table({"name": list(order)})


def _spooled(items: Iterable[WorkItem], scratch: Path) -> Path:
    """WorkItems as a local Parquet file, a batch in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("id", "group", "table", JSON_PAYLOAD)
    schema = pa.schema([*((name, pa.string()) for name in names), ("place_given", pa.int64())])
    path = scratch / "items.parquet"
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(items):
            columns = [[item.id for _, item in batch], [item.group for _, item in batch]]
            columns += [[item.table for _, item in batch]]
            columns += [[json.dumps(dict(i.payload), sort_keys=True, ensure_ascii=False) for _, i in batch]]
            columns += [[place for place, _ in batch]]
            writer.write_table(
                pa.Table.from_arrays(
                    [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
                )
            )
    return path


def _batches(items: Iterable[WorkItem]) -> Iterator[list[tuple[int, WorkItem]]]:
    batch: list[tuple[int, WorkItem]] = []
    for place, item in enumerate(items):
        batch.append((place, item))
        if len(batch) == SPOOLED_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def cut(engine: Engine, num_shards: int, chunk_size: int) -> tuple[Group, ...]:
    """Lay items that are not reused into shards of whole chunks, group by group; returns the groups by their first items.

    Each group gets at most `num_shards` shards and no empty one; consecutive items stay together. In place of the table `items`
    come `cut` (an item's place in its group, from 0) and `layout` (where each group begins, and how it is cut).
    """
    engine.execute("CREATE TEMP TABLE IF NOT EXISTS reused_ids (id VARCHAR)")
    by = ", ".join(_keys(engine))
    engine.execute(
        f"""CREATE TEMP TABLE cut AS SELECT *, row_number() OVER (PARTITION BY "group" ORDER BY {by}) - 1 AS place
        FROM items ANTI JOIN reused_ids USING (id)"""
    )
    engine.execute("DROP TABLE items")
    sizes = engine.sql(
        f"""SELECT "group", num_items FROM cut JOIN (SELECT "group", count(*) AS num_items FROM cut GROUP BY 1) USING ("group")
        WHERE place = 0 ORDER BY {by}"""
    ).fetchall()
    groups, layout, begin = [], [], 0
    for number, (name, num_items) in enumerate(sizes):
        num_chunks = math.ceil(num_items / chunk_size)
        chunks_per_shard = math.ceil(num_chunks / min(num_shards, num_chunks))
        groups.append(Group(name, math.ceil(num_chunks / chunks_per_shard), num_items))
        layout.append((name, number, begin, chunk_size, chunks_per_shard))
        begin += num_items
    engine.view("layout", _layout(layout))
    return tuple(groups)


def _keys(engine: Engine) -> list[str]:
    """The columns of the order, as the tables `items` and `cut` name them."""
    return [f"order_{number}" for number in range(engine.value("SELECT count(*) FROM order_names"))]


def _layout(rows: list[tuple[str, int, int, int, int]]) -> pa.Table:
    import pyarrow as pa

    numbers = ("number", "begin", "chunk_size", "per_shard")
    schema = pa.schema([("name", pa.string()), *((name, pa.int64()) for name in numbers)])
    return pa.table(list(zip(*rows, strict=True)) or [[]] * len(schema), schema=schema)


def write_shards(engine: Engine, writer: ShardWriter) -> None:
    """One file per shard, in the order of the list, with the payload of its own items only."""
    order = [name for (name,) in engine.sql("FROM order_names").fetchall()]
    same = " AND ".join(f'prepared."{name}" = cut.order_{number}' for number, name in enumerate(order))
    hidden = [
        name
        for name in ("id", "group", "table", "place_given")
        if name in engine.sql("FROM prepared").columns
    ]
    excluded = ", ".join(f'"{name}"' for name in hidden)
    rows = engine.sql(
        f"""SELECT layout."begin" + cut.place AS __place, layout.number AS __number,
            cut.place // chunk_size // per_shard AS __shard, CAST(cut.place // chunk_size % per_shard AS INTEGER) AS chunk,
            cut.id, cut."table", prepared.* EXCLUDE ({excluded})
        FROM prepared JOIN cut ON {same} JOIN layout ON layout.name = cut."group" """
    )
    for table in engine.in_order(rows, "__place", engine.value("SELECT count(*) FROM cut")):
        writer.write(table)
    writer.close()


class ShardWriter:
    """Writes rows that come shard by shard."""

    def __init__(self, store: Store, run_id: str, stage: str, scratch: Path, groups: Sequence[Group]) -> None:
        self._store, self._file = store, scratch / "shard.parquet"
        self._path = functools.partial(work_list.shard_path, run_id, stage)
        self._groups = [group.group for group in groups]
        self._key: tuple[int, int] | None = None
        self._writer: Any = None

    def write(self, table: pa.Table) -> None:
        import numpy as np

        keys = np.stack([table[name].to_numpy() for name in ("__number", "__shard")])
        starts = [0, *(np.flatnonzero((np.diff(keys) != 0).any(axis=0)) + 1).tolist()]
        rows = table.drop_columns(["__number", "__shard"])
        for start, end in zip(starts, [*starts[1:], len(table)], strict=True):
            self._write(rows.slice(start, end - start), tuple(keys[:, start].tolist()))

    def _write(self, rows: pa.Table, key: tuple[int, int]) -> None:
        import pyarrow.parquet as pq

        if key != self._key:
            self.close()
            self._key, self._writer = key, pq.ParquetWriter(self._file, rows.schema, compression="zstd")
        self._writer.write_table(rows, row_group_size=ROWS_PER_GROUP)

    def close(self) -> None:
        """End the shard's file and put it into the store."""
        if self._key is None:
            return
        self._writer.close()
        number, shard = self._key
        self._store.put_file(self._file, self._path(self._groups[number], shard))
        self._key = None


def _work_list(num_items: int, groups: tuple[Group, ...], reused: dict[str, Table]) -> WorkList:
    made = WorkList(num_items, groups, reused)
    to_do = sum(group.num_items for group in groups)
    if made.num_reused + to_do != made.num_items:
        raise AssertionError(
            f"the list has {made.num_items} items, and {made.num_reused} reused and {to_do} new rows: "
            "do the columns of its order tell its items apart?"
        )
    return made
