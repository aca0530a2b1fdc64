"""`work`: does one shard, the chunks that have no part yet. It opens its own list and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from spavl import ranks
from spavl.artifacts import failure
from spavl.artifacts.lease import Lease
from spavl.artifacts.store import Store
from spavl.artifacts.without_pandas import convert_without_pandas
from spavl.errors import UserError
from spavl.outcome import Outcome
from spavl.plan import Plan
from spavl.run import work_list
from spavl.run.context import RunContext
from spavl.run.stage_run import StageRun
from spavl.run.work_list import ShardFile
from spavl.stage import Chunk


def work(store: Store, plan: Plan, stage: str, group: str, shard: int, num_shards: int) -> Outcome:
    """Do one shard.

    Several ranks may do a training together: rank 0 as it would alone, the others beside it, without lease and parts.
    """
    run = StageRun(store, plan, stage)
    if run.info.work == "rows":  # trainers bring their own
        convert_without_pandas()
    _check_ranks(run)
    if outcome := run.settled("work"):
        return outcome
    _check_shard(run, group, num_shards)
    unit = f"{group}-{shard:04d}"
    if ranks.rank():
        return _work_beside(run, group, shard, f"{unit}-rank-{ranks.rank():05d}")
    with run.working(unit) as (context, held):
        listed = ShardFile.of(store, context.scratch, plan.run_id, stage, group, shard)
        finished = work_list.finished_chunks(store, plan.run_id, stage, group, shard)
        if run.info.work == "checkpoints":
            failure.forget(store, plan.run_id, stage)
            num_rows = _keep_all_at_once(run, context, held, group, shard, listed.chunks(finished))
        else:
            num_rows = _Shard(run, context, held, group, shard, listed).answer(finished)
        num_resumed = _num_items_of(listed, finished)
    return run.outcome("work", counts={"computed": num_rows, "resumed": num_resumed})


def _num_items_of(listed: ShardFile, chunks: frozenset[int]) -> int:
    return sum(ids.num_rows for number, ids in listed.ids() if number in chunks) if chunks else 0


def _check_ranks(run: StageRun) -> None:
    if ranks.num_ranks() > 1 and run.info.runs_on != "training":
        raise UserError(
            f"`{run.stage}` is done by one process, and this is one of {ranks.num_ranks()} ranks.",
            next_step=f"Start it without torchrun; {run.stage}.num_shards lets several processes share its work.",
        )


def _check_shard(run: StageRun, group: str, num_shards: int) -> None:
    known = work_list.read(run.store, run.plan.run_id, run.stage)
    if known is None:
        raise run.not_prepared()
    if known.num_shards.get(group) != num_shards:
        raise UserError(
            f"group {group!r} has {known.num_shards.get(group, 0)} shards, not {num_shards}.",
            next_step=f"Groups: {known.num_shards}.",
        )


def _work_beside(run: StageRun, group: str, shard: int, unit: str) -> Outcome:
    """What a rank other than 0 does of a shard: all of its work, and nothing that others would see."""
    run_id, stage = run.plan.run_id, run.stage
    finished = work_list.finished_chunks(run.store, run_id, stage, group, shard)
    with run.scratch(unit) as context:
        listed = ShardFile.of(run.store, context.scratch, run_id, stage, group, shard)
        if chunks := list(listed.chunks(finished)):
            for _ in run.module.work(context, group, iter(chunks)):
                pass
    return run.outcome("work")


def _keep_all_at_once(
    run: StageRun, context: RunContext, held: Lease, group: str, shard: int, chunks: Iterator[Chunk]
) -> int:
    """A stage that keeps its own checkpoints gives all of its rows at its end: its one item's part."""
    todo = list(chunks)
    if not todo:
        return 0
    rows = list(run.module.work(context, group, iter(todo)))
    held.check()
    path = work_list.part_path(run.plan.run_id, run.stage, group, shard, todo[0].number)
    work_list.write_part(run.store, path, rows, run.module.PART)
    return len(rows)


@dataclass
class _OpenChunk:
    """A chunk that is being answered."""

    chunk: Chunk
    rows: dict[str, Any] = field(default_factory=dict)  # so far, by id


class _Shard:
    """Feeds chunks to the stage and writes each chunk's part as soon as all of its rows are there."""

    def __init__(
        self, run: StageRun, context: RunContext, held: Lease, group: str, shard: int, listed: ShardFile
    ) -> None:
        self._run, self._context, self._held = run, context, held
        self._group, self._shard, self._listed = group, shard, listed
        self._waiting: dict[str, _OpenChunk] = {}  # the chunks in hand, by the items that have no row yet
        self._num_done = 0

    def answer(self, finished: frozenset[int]) -> int:
        """Answer the chunks that are not finished; returns the number of their rows."""
        total = self._listed.num_items()
        num_before = self._num_done = _num_items_of(self._listed, finished)
        self._context.progress(num_before, total, self._group)
        if num_before < total:
            for row in self._run.module.work(self._context, self._group, self._chunks(finished)):
                self._take(row)
                self._context.progress(self._num_done, total, self._group)
        if self._num_done < total:
            raise AssertionError(
                f"`{self._run.stage}` ended group {self._group} without answering {total - self._num_done} items"
            )
        return self._num_done - num_before

    def _chunks(self, finished: frozenset[int]) -> Iterator[Chunk]:
        for chunk in self._listed.chunks(finished):
            self._waiting |= dict.fromkeys((item.id for item in chunk.items), _OpenChunk(chunk))
            yield chunk

    def _take(self, row: Any) -> None:
        chunk = self._waiting.pop(row.id, None)
        if chunk is None:
            return  # one answer per id: the first counts
        chunk.rows[row.id] = row
        self._num_done += 1
        if len(chunk.rows) == len(chunk.chunk.items):
            self._write(chunk.chunk, [chunk.rows[item.id] for item in chunk.chunk.items])

    def _write(self, chunk: Chunk, rows: list[Any]) -> None:
        self._held.check()
        path = work_list.part_path(
            self._run.plan.run_id, self._run.stage, self._group, self._shard, chunk.number
        )
        work_list.write_part(self._context.store, path, rows, self._run.module.PART)
