"""What all shards have answered, made into parts: the rows of a chunk are exactly those that its list names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.artifacts.parts import PartWriter, Table
from spavl.errors import TryAgain, UserError
from spavl.records import arrow_schema
from spavl.run import work_list
from spavl.run.context import RunContext
from spavl.run.stage_run import StageRun
from spavl.run.work_list import ShardFile, WorkList

if TYPE_CHECKING:
    import pyarrow as pa

    from spavl.artifacts.engine import Relation


@dataclass(frozen=True)
class AnsweredRows:
    """`spavl.stage.Answered`: the reused rows and tonight's, table by table."""

    context: RunContext
    row_type: type
    tables: dict[str, Table]

    def num_rows(self, table: str = "table") -> int:
        return self.tables[table].num_rows if table in self.tables else 0

    def relation(self, table: str = "table") -> Relation:
        known = self.tables.get(table, Table(self.row_type.__name__, 0, ()))
        return self.context.tables.engine.relation_of(known, self.row_type)

    def rows(self, table: str = "table") -> list[Any]:
        if not self.num_rows(table):
            return []
        engine = self.context.tables.engine
        relation = engine.relation_of(self.tables[table], self.row_type, is_ordered=True)
        return list(engine.rows(relation, self.row_type))


def answered_rows(run: StageRun, context: RunContext, known: WorkList) -> AnsweredRows:
    """Tonight's rows as parts, in the order of the list group by group, behind the reused ones.

    Raises TryAgain, with the number of rows that are missing, if a shard is not done.
    """
    row_type = run.module.PART
    schema = arrow_schema(row_type)
    _refuse_missing(run, context, known)
    writers: dict[str, PartWriter] = {}
    counts: dict[str, int] = {}
    for table, rows in _new_rows(run, context, known):
        writers.setdefault(table, PartWriter(run.store, run.stage, schema)).write(rows)
        counts[table] = counts.get(table, 0) + rows.num_rows
    tables = dict(known.reused)
    for table, writer in writers.items():
        former = tables.get(table, Table(row_type.__name__, 0, ()))
        tables[table] = Table(
            row_type.__name__,
            former.num_rows + counts[table],
            (*former.parts, *writer.close()),
            former.dropped,
        )
    return AnsweredRows(context, row_type, tables)


def all_at_once(run: StageRun, context: RunContext) -> AnsweredRows:
    """The rows of a stage that keeps its own checkpoints; raises TryAgain if it has not finished."""
    rows = work_list.read_parts(run.store, run.plan.run_id, run.stage, run.module.PART)
    if not rows:
        raise TryAgain(
            f"`{run.stage}` of run {run.plan.run_id} has not finished its work.",
            next_step="Run its shards first.",
        )
    return InMemory(context, run.module.PART, {}, rows)


def nothing(run: StageRun, context: RunContext) -> AnsweredRows:
    """What a stage without shards gets."""
    return InMemory(context, run.row_type, {}, [])


@dataclass(frozen=True)
class InMemory(AnsweredRows):
    listed: list[Any]

    def num_rows(self, table: str = "table") -> int:
        return len(self.listed) if table == "table" else 0

    def rows(self, table: str = "table") -> list[Any]:
        return list(self.listed) if table == "table" else []


@dataclass(frozen=True)
class _ListedChunk:
    path: str  # of its part
    items: pa.Table  # id and table


def _listed(run: StageRun, context: RunContext, known: WorkList) -> Iterator[_ListedChunk]:
    """Chunk after chunk of all shards, in the order of the list group by group."""
    run_id, stage = run.plan.run_id, run.stage
    for group in known.groups:
        for shard in range(group.num_shards):
            listed = ShardFile.of(run.store, context.scratch, run_id, stage, group.group, shard)
            for chunk, items in listed.ids():
                yield _ListedChunk(work_list.part_path(run_id, stage, group.group, shard, chunk), items)


def _refuse_missing(run: StageRun, context: RunContext, known: WorkList) -> None:
    there = set(work_list.part_paths(run.store, run.plan.run_id, run.stage))
    missing = [chunk for chunk in _listed(run, context, known) if chunk.path not in there]
    if missing:
        num_rows = sum(chunk.items.num_rows for chunk in missing)
        raise TryAgain(
            f"`{run.stage}` of run {run.plan.run_id} lacks {num_rows} of {known.num_items} rows "
            f"(first: {missing[0].items['id'][0]}).",
            next_step="Run its shards again; they redo only what is missing.",
        )


def _new_rows(run: StageRun, context: RunContext, known: WorkList) -> Iterator[tuple[str, pa.Table]]:
    """(table, rows) of chunk after chunk; parts are read ahead, a few at once."""
    import pyarrow.compute as pc

    listed, again = itertools.tee(_listed(run, context, known))
    contents = run.store.read_many(chunk.path for chunk in again)
    for chunk, content in zip(listed, contents, strict=True):
        rows, expected = work_list.read_part(content), chunk.items
        if not rows["id"].equals(expected["id"]):
            raise UserError(
                f"{run.store.url_of(chunk.path)} has other rows than its work list names.",
                next_step="Remove that file and run the shard again.",
            )
        names = pc.unique(expected["table"]).to_pylist()
        for table in names:
            yield table, rows if len(names) == 1 else rows.filter(pc.equal(expected["table"], table))
