"""Runs one step of one stage as a transaction: prepare → shards → seal.

An artifact exists if and only if its record exists. Parts become visible whole and keyed by id, the record is written
last, a failed check publishes nothing and keeps its evidence. Killed at any moment and started again, a step redoes at
most the chunk it was in.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import spavl
from spavl import ranks, records, worklist
from spavl.artifacts import channel, failure
from spavl.artifacts.lease import Lease, lease
from spavl.artifacts.record import Record, read_record, read_rows, record_path, stage_folder
from spavl.artifacts.store import Store
from spavl.config import spavl_home
from spavl.context import RunContext
from spavl.errors import CheckFailed, Inconclusive, TryAgain, UserError
from spavl.outcome import Outcome
from spavl.pipeline import BY_NAME
from spavl.plan import Plan, alignment_key
from spavl.records import arrow_schema, stable_hash, to_table
from spavl.stage import Chunk, Sealed, StageModule
from spavl.worklist import WorkList


def load_stage(stage: str) -> StageModule:
    """The stage's module; raises UserError for a word that is not a stage."""
    if stage not in BY_NAME:
        raise UserError(f"there is no stage {stage!r}.", next_step=f"Stages are {', '.join(BY_NAME)}.")
    return importlib.import_module(f"spavl.{stage}.stage")


def fingerprint(store: Store, plan: Plan, stage: str) -> str:
    """Hash of what decides the artifact: its inputs, config section, pinned models, suite and row type."""
    context = RunContext(store, plan, stage, Path())
    inputs = {name: context.record(name).fingerprint for name in plan.reads(stage)}
    schema = str(arrow_schema(getattr(records, BY_NAME[stage].writes)))
    return stable_hash(
        stage,
        inputs,
        plan.config[stage],
        plan.revisions,
        plan.suites[stage],
        plan.previous.get(stage),
        schema,
    )


# -------------------------------------------------------------------------------------------------------------- prepare


def prepare(store: Store, plan: Plan, stage: str) -> Outcome:
    """Write the stage's work list once, with the rows that earlier runs already have."""
    if left_out := _left_out(plan, stage, "prepare"):
        return left_out
    if done := _already_sealed(store, plan, stage, "prepare"):
        return done
    known = worklist.read(store, plan.run_id, stage)
    if known is None:
        with _working(store, plan, stage, "prepare") as (context, held):
            known = _prepare(store, plan, stage, context, held)
    num_reused = sum(row.shard < 0 for row in known.rows)
    counts = {"items": len(known.rows), "reused": num_reused, "to_do": len(known.rows) - num_reused}
    return Outcome(stage, "prepare", plan.run_id, counts=counts, groups=known.groups())


def _prepare(store: Store, plan: Plan, stage: str, context: RunContext, held: Lease) -> WorkList:
    module = load_stage(stage)
    items = module.prepare(context)
    reused = _reusable_rows(store, plan, stage, module.PART, {item.id for item in items})
    section: Any = context.section()
    made = worklist.cut(items, reused, getattr(section, "num_shards", 1), getattr(section, "chunk_size", 1))
    held.check()
    if reused:
        worklist.write_part(
            store,
            worklist.part_path(plan.run_id, stage, worklist.REUSED, 0, 0),
            list(reused.values()),
            module.PART,
        )
    worklist.write(store, plan.run_id, stage, made)
    return made


def _reusable_rows(store: Store, plan: Plan, stage: str, row_type: type, wanted: set[str]) -> dict[str, Any]:
    """Rows of earlier runs by id, newest run first; rows that ended in an error are asked again."""
    found: dict[str, Any] = {}
    if _is_checkpointed(stage):
        return found
    for run_id in plan.reuse_runs:
        if wanted <= found.keys():
            break
        for row in _rows_of_run(store, run_id, stage, row_type):
            if row.id in wanted and row.id not in found and getattr(row, "outcome", "ok") != "error":
                found[row.id] = row
    return found


def _rows_of_run(store: Store, run_id: str, stage: str, row_type: type) -> list[Any]:
    """What a run has of a stage: its sealed rows, or the parts of a run that never got that far."""
    try:
        record = read_record(store, run_id, stage)
        if record is None:
            return worklist.read_parts(store, run_id, stage, row_type)
        return read_rows(store, record, row_type, "parts" if "parts" in record.tables else "table")
    except ValueError:
        return []  # made by a version of spavl with other columns: nothing to reuse


# ----------------------------------------------------------------------------------------------------------------- work


def work(store: Store, plan: Plan, stage: str, group: str, shard: int, num_shards: int) -> Outcome:
    """Do one shard: the chunks that have no part yet.

    Several ranks may do a training together: rank 0 as it would alone, the others beside it, without lease and parts.
    """
    if left_out := _left_out(plan, stage, "work"):
        return left_out
    _check_ranks(stage)
    if done := _already_sealed(store, plan, stage, "work"):
        return done
    known = worklist.read(store, plan.run_id, stage)
    if known is None:
        raise UserError(
            f"`{stage}` of run {plan.run_id} is not prepared.",
            next_step=f"Run `spavl prepare {stage} --run-id {plan.run_id}` first.",
        )
    if known.num_shards.get(group) != num_shards:
        raise UserError(
            f"group {group!r} has {known.num_shards.get(group, 0)} shards, not {num_shards}.",
            next_step=f"Groups: {known.num_shards}.",
        )
    chunks = known.chunks(group, shard)
    unit = f"{group}-{shard:04d}"
    if ranks.rank():
        return _work_beside(store, plan, stage, group, shard, chunks)
    with _working(store, plan, stage, unit) as (context, held):
        finished = worklist.finished_chunks(store, plan.run_id, stage, group, shard)
        todo = [chunk for chunk in chunks if chunk.number not in finished]
        if _is_checkpointed(stage):
            failure.forget(store, plan.run_id, stage)
        num_rows = _run_chunks(
            context, plan, stage, group, shard, todo, sum(len(chunk.items) for chunk in chunks), held
        )
    return Outcome(
        stage,
        "work",
        plan.run_id,
        counts={"computed": num_rows, "resumed": sum(len(c.items) for c in chunks if c.number in finished)},
    )


def _work_beside(
    store: Store, plan: Plan, stage: str, group: str, shard: int, chunks: Sequence[Chunk]
) -> Outcome:
    """What a rank other than 0 does of a shard: all of its work, and nothing that others would see."""
    finished = worklist.finished_chunks(store, plan.run_id, stage, group, shard)
    todo = [chunk for chunk in chunks if chunk.number not in finished]
    with _scratch(plan, stage, f"{group}-{shard:04d}-rank-{ranks.rank():05d}") as scratch:
        if todo:
            for _ in load_stage(stage).work(RunContext(store, plan, stage, scratch), group, iter(todo)):
                pass
    return Outcome(stage, "work", plan.run_id)


def _check_ranks(stage: str) -> None:
    if ranks.num_ranks() > 1 and BY_NAME[stage].runs_on != "training":
        raise UserError(
            f"`{stage}` is done by one process, and this is one of {ranks.num_ranks()} ranks.",
            next_step=f"Start it without torchrun; {stage}.num_shards lets several processes share its work.",
        )


def _run_chunks(
    context: RunContext,
    plan: Plan,
    stage: str,
    group: str,
    shard: int,
    todo: list[Chunk],
    total: int,
    held: Lease,
) -> int:
    """Feed chunks to the stage and write each chunk's part as soon as all of its rows are there."""
    module = load_stage(stage)
    if not todo:
        return 0
    if _is_checkpointed(stage):
        rows = list(module.work(context, group, iter(todo)))
        held.check()
        worklist.write_part(
            context.store,
            worklist.part_path(plan.run_id, stage, group, shard, todo[0].number),
            rows,
            module.PART,
        )
        return len(rows)
    chunk_of = {item.id: chunk for chunk in todo for item in chunk.items}
    waiting: dict[int, dict[str, Any]] = {chunk.number: {} for chunk in todo}
    done = total - len(chunk_of)
    context.progress(done, total, group)
    for row in module.work(context, group, iter(todo)):
        chunk = chunk_of[row.id]
        rows_by_id = waiting.get(chunk.number, {})
        if row.id in rows_by_id or chunk.number not in waiting:
            continue  # one answer per id: the first counts
        rows_by_id[row.id] = row
        done += 1
        if len(rows_by_id) == len(chunk.items):
            held.check()
            ordered = [rows_by_id[item.id] for item in chunk.items]
            worklist.write_part(
                context.store,
                worklist.part_path(plan.run_id, stage, group, shard, chunk.number),
                ordered,
                module.PART,
            )
            del waiting[chunk.number]
        context.progress(done, total, group)
    if waiting:
        missing = sum(
            len(chunk.items) - len(waiting[chunk.number]) for chunk in todo if chunk.number in waiting
        )
        raise AssertionError(f"`{stage}` ended group {group} without answering {missing} items")
    return len(chunk_of)


# ----------------------------------------------------------------------------------------------------------------- seal


def seal(store: Store, plan: Plan, stage: str) -> Outcome:
    """Make, check and record the stage's table; publish its channel entry where it has one."""
    if left_out := _left_out(plan, stage, "seal"):
        return left_out
    if done := _already_sealed(store, plan, stage, "seal"):
        return done
    with _working(store, plan, stage, "seal") as (context, held):
        parts, num_reused = _all_parts(store, plan, stage)
        sealed = load_stage(stage).seal(context, parts)
        counts = {
            "rows": len(sealed.rows),
            "reused": num_reused,
            "computed": len(parts) - num_reused,
            **sealed.counts,
        }
        report = _check(store, plan, stage, sealed, counts, context.scratch)
        held.check()
        record = _record(store, plan, stage, sealed, parts, counts, report)
        if not store.create(record_path(plan.run_id, stage), record.to_json()):
            raise TryAgain(
                f"another runner has just sealed `{stage}` of run {plan.run_id}.",
                next_step="Run the same command again to see its result.",
            )
    _publish(store, plan, record)
    store.remove(f"{stage_folder(plan.run_id, stage)}/parts")
    return Outcome(stage, "seal", plan.run_id, counts=counts)


def _all_parts(store: Store, plan: Plan, stage: str) -> tuple[list[Any], int]:
    """Rows of all shards in the order of the work list, and how many of them are reused; none for an unsharded stage."""
    if not BY_NAME[stage].is_sharded:
        return [], 0
    module, known = load_stage(stage), worklist.read(store, plan.run_id, stage)
    if known is None:
        raise UserError(
            f"`{stage}` of run {plan.run_id} is not prepared.",
            next_step=f"Run `spavl prepare {stage} --run-id {plan.run_id}` first.",
        )
    rows = worklist.read_parts(store, plan.run_id, stage, module.PART)
    if _is_checkpointed(stage):
        if not rows:
            raise TryAgain(
                f"`{stage}` of run {plan.run_id} has not finished its work.",
                next_step="Run its shards first.",
            )
        return rows, 0
    by_id = {row.id: row for row in reversed(rows)}
    missing = [row.id for row in known.rows if row.id not in by_id]
    if missing:
        raise TryAgain(
            f"`{stage}` of run {plan.run_id} lacks {len(missing)} of {len(known.rows)} rows (first: {missing[0]}).",
            next_step="Run its shards again; they redo only what is missing.",
        )
    return [by_id[row.id] for row in known.rows], sum(row.shard < 0 for row in known.rows)


def _check(
    store: Store, plan: Plan, stage: str, sealed: Sealed, counts: dict[str, int], scratch: Path
) -> dict[str, Any]:
    """Run the suite the plan froze; raises CheckFailed with the first failure in words, evidence kept."""
    from spavl.validation import check, load_suite

    row_type = getattr(records, BY_NAME[stage].writes)
    suite = load_suite(plan.suites[stage], row_type)
    data_docs = scratch / "data_docs"
    report = check(
        to_table(sealed.rows, row_type),
        suite,
        stage=stage,
        counts=counts,
        measures=sealed.measures,
        data_docs=data_docs,
    )
    if data_docs.is_dir():
        store.upload(data_docs, f"runs/{plan.run_id}/data_docs/{stage}")
    if not report.passed:
        evidence = f"{stage_folder(plan.run_id, stage)}/evidence"
        store.write_table(f"{evidence}/table.parquet", to_table(sealed.rows, row_type))
        content = {"report": report.to_json(), "counts": counts, "at": _now()}
        content |= {"details": dict(sealed.details), "measures": dict(sealed.measures)}
        store.write(f"{evidence}/report.json", json.dumps(content, indent=1, default=str).encode())
        error = Inconclusive if report.verdict == "inconclusive" else CheckFailed
        raise error(
            report.one_line(),
            next_step=f"Nothing was published; evidence is in {store.url_of(evidence)}. Mend the cause, or the limit in expectations/{stage}.yaml, and start a new run: it reuses what is done.",
        )
    return report.to_json()


def _record(
    store: Store,
    plan: Plan,
    stage: str,
    sealed: Sealed,
    parts: Sequence[Any],
    counts: dict[str, int],
    report: dict[str, Any],
) -> Record:
    """Write tables and folders, and return the record that will make them exist."""
    folder = stage_folder(plan.run_id, stage)
    row_type = getattr(records, BY_NAME[stage].writes)
    tables = {"table": _write_table(store, f"{folder}/table.parquet", sealed.rows, row_type)}
    for name, rows in sealed.side_tables.items():
        if rows:
            tables[name] = _write_table(store, f"{folder}/{name}.parquet", rows, type(rows[0]))
    if BY_NAME[stage].is_sharded and load_stage(stage).PART is not row_type:
        tables["parts"] = _write_table(store, f"{folder}/answered.parquet", parts, load_stage(stage).PART)
    details = dict(sealed.details)
    if sealed.measures:
        details["measures"] = dict(sealed.measures)
    folders = {
        name: {"path": f"{folder}/{name}", "files": store.upload(local, f"{folder}/{name}")}
        for name, local in sealed.folders.items()
    }
    folders |= details.pop("folders", {})
    context = RunContext(store, plan, stage, Path())
    inputs = {
        name: {"run_id": (read := context.record(name)).run_id, "fingerprint": read.fingerprint}
        for name in plan.reads(stage)
    }
    return Record(
        run_id=plan.run_id, stage=stage, fingerprint=fingerprint(store, plan, stage), created_at=_now(), code_version=spavl.__version__,
        config=plan.config[stage], inputs=inputs, tables=tables, folders=folders, counts=counts, details=details, check=report,
    )  # fmt: skip


def _write_table(store: Store, path: str, rows: Sequence[Any], row_type: type) -> dict[str, Any]:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(to_table(rows, row_type), buffer, compression="zstd")
    store.write(path, buffer.getvalue())
    return {
        "path": path,
        "row_type": row_type.__name__,
        "num_rows": len(rows),
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }


def _publish(store: Store, plan: Plan, record: Record) -> None:
    """Append the channel entry of a dataset version or a release; its content follows from plan and record alone."""
    if record.stage not in ("dataset", "release"):
        return
    name = plan.config[record.stage]["channel"]
    details = dict(record.details.get("channel_entry", {}))
    if record.stage == "release":
        details["alignment_key"] = alignment_key(
            plan.resolved, plan.inputs["dataset"]["fingerprint"], plan.revisions
        )
        details["dataset_run"] = plan.inputs["dataset"]["run_id"]
    parent = plan.heads[name]
    channel.append(
        store,
        name,
        channel.Entry(
            parent + 1,
            parent,
            "publish",
            plan.run_id,
            record.stage,
            record.fingerprint,
            record.created_at,
            details=details,
        ),
    )


# --------------------------------------------------------------------------------------------------------------- shared


def _left_out(plan: Plan, stage: str, step: str) -> Outcome | None:
    """The outcome of a stage that this run's method does not need, or None."""
    load_stage(stage)
    if stage in plan.stages:
        return None
    reason = f"only training.method {BY_NAME[stage].only_for!r} needs `{stage}`; this run's is {plan.config['training']['method']!r}."
    return Outcome(stage, step, plan.run_id, verdict="skipped", next_step=reason)


def _already_sealed(store: Store, plan: Plan, stage: str, step: str) -> Outcome | None:
    """The outcome of a stage whose record exists; its channel entry is made good where a kill came in between."""
    load_stage(stage)
    record = read_record(store, plan.run_id, stage)
    if record is None:
        return None
    if record.fingerprint != fingerprint(store, plan, stage):
        raise UserError(
            f"run {plan.run_id} already has another `{stage}` (its inputs differ).",
            next_step="Start a new run.",
        )
    if step == "seal":
        _publish(store, plan, record)
    return Outcome(stage, step, plan.run_id, verdict="already done", counts=record.counts)


@contextlib.contextmanager
def _working(store: Store, plan: Plan, stage: str, unit: str) -> Iterator[tuple[RunContext, Lease]]:
    """The lease of one unit of work, and a context with an empty scratch folder."""
    folder = f"{stage_folder(plan.run_id, stage)}/leases/{unit}"
    with lease(store, folder) as held, _scratch(plan, stage, unit) as scratch:
        yield RunContext(store, plan, stage, scratch), held


@contextlib.contextmanager
def _scratch(plan: Plan, stage: str, unit: str) -> Iterator[Path]:
    """An empty folder: what a killed process left there is removed, and what this one makes when it ends well."""
    folder = spavl_home() / "scratch" / f"{plan.run_id}-{stage}-{unit}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _is_checkpointed(stage: str) -> bool:
    """Whether the stage keeps what it has done by itself, and its rows come all at once at the end."""
    return getattr(load_stage(stage), "CHECKPOINTED", False)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
