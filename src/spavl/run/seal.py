"""`seal`: makes, checks and records the stage's table; publishes its channel entry if it has one."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spavl
from spavl.artifacts.parts import Table
from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import Store
from spavl.errors import CheckFailed, Inconclusive, TryAgain
from spavl.outcome import Outcome
from spavl.plan import Plan
from spavl.run import work_list
from spavl.run.answered import AnsweredRows, all_at_once, answered_rows, nothing
from spavl.run.context import RunContext
from spavl.run.publish import publish
from spavl.run.stage_run import StageRun
from spavl.run.storing import evidence_file, relation_table, rows_table
from spavl.stage import CopiedFile, Derived, Sealed

if TYPE_CHECKING:
    from spavl.artifacts.engine import Relation


def seal(store: Store, plan: Plan, stage: str) -> Outcome:
    """Seal the stage, or find it sealed; a channel entry that a kill left unmade is made good."""
    run = StageRun(store, plan, stage)
    if outcome := run.settled("seal"):
        if record := run.record():
            publish(store, plan, record)
            _tidy(run)
        return outcome
    with run.working("seal") as (context, held):
        answered = _answered(run, context)
        sealed = run.module.seal(context, answered)
        table, relation = _table(run, context, answered, sealed)
        counts = {"rows": table.num_rows, **_computed(run, answered), **sealed.counts}
        report = _check(run, context, sealed, relation, counts)
        held.check()
        record = _record(run, context, answered, sealed, table, counts, report)
        held.check()
        if not store.create(record_path(plan.run_id, stage), record.to_json()):
            raise TryAgain(
                f"another runner has just sealed `{stage}` of run {plan.run_id}.",
                next_step="Run the same command again to see its result.",
            )
    publish(store, plan, record)
    _tidy(run)
    return run.outcome("seal", counts=counts)


def _tidy(run: StageRun) -> None:
    """Remove what only the way to the record needed."""
    for folder in ("parts", "work", "requests"):
        run.store.remove(f"{run.folder}/{folder}")


def _answered(run: StageRun, context: RunContext) -> AnsweredRows:
    """The rows of all shards; none for a stage without shards."""
    if not run.info.is_sharded:
        return nothing(run, context)
    known = work_list.read(run.store, run.plan.run_id, run.stage)
    if known is None:
        raise run.not_prepared()
    if run.info.work == "checkpoints":
        return all_at_once(run, context)
    return answered_rows(run, context, known)


def _computed(run: StageRun, answered: AnsweredRows) -> dict[str, int]:
    """How many of the answered rows are an earlier run's, and how many are tonight's."""
    known = work_list.read(run.store, run.plan.run_id, run.stage) if run.info.work == "rows" else None
    num_reused = known.num_reused if known else 0
    num_rows = known.num_items if known else answered.num_rows()
    return {"reused": num_reused, "computed": num_rows - num_reused}


def _table(
    run: StageRun, context: RunContext, answered: AnsweredRows, sealed: Sealed
) -> tuple[Table, Relation]:
    """The stage's table as parts, and its rows as a relation."""
    engine = context.tables.engine
    if sealed.rows is None:
        table = answered.tables.get("table") or Table(run.row_type.__name__, 0, ())
    elif hasattr(sealed.rows, "create_view"):
        former = context.previous(run.stage)
        table = relation_table(
            run, engine, sealed.rows, run.row_type, former, "table", context.forgotten, sealed.order
        )
    else:
        table = rows_table(run, sealed.rows, run.row_type)
    return table, engine.relation_of(table, run.row_type)


def _check(
    run: StageRun, context: RunContext, sealed: Sealed, relation: Relation, counts: dict[str, int]
) -> dict[str, Any]:
    """Run the suite that the plan froze; raises CheckFailed with the first failure in words, evidence kept."""
    from spavl.validation import check, load_suite

    store, stage, plan = run.store, run.stage, run.plan
    suite = load_suite(plan.suites[stage], run.row_type)
    data_docs = context.scratch / "data_docs"
    report = check(
        relation,
        suite,
        stage=stage,
        counts=counts,
        measures=sealed.measures,
        data_docs=data_docs,
    )
    if data_docs.is_dir():
        store.upload(data_docs, f"runs/{plan.run_id}/data_docs/{stage}")
    if report.passed:
        return report.to_json()
    evidence = f"{run.folder}/evidence"
    file = evidence_file(context.tables.engine, relation, run.row_type, context.scratch / "evidence.parquet")
    store.put_file(file, f"{evidence}/table.parquet")
    content = {"report": report.to_json(), "counts": counts, "at": _now()}
    content |= {"details": dict(sealed.details), "measures": dict(sealed.measures)}
    store.write(f"{evidence}/report.json", json.dumps(content, indent=1, default=str).encode())
    error = Inconclusive if report.verdict == "inconclusive" else CheckFailed
    raise error(
        report.one_line(),
        next_step=f"Nothing was published; evidence is in {store.url_of(evidence)}. Mend the cause, or the limit in expectations/{stage}.yaml, and start a new run: it reuses what is done.",
    )


def _record(
    run: StageRun,
    context: RunContext,
    answered: AnsweredRows,
    sealed: Sealed,
    table: Table,
    counts: dict[str, int],
    report: dict[str, Any],
) -> Record:
    """Write side tables and folders, and return the record that will make the artifact exist."""
    tables = {"table": table, **_side_tables(run, context, answered, sealed)}
    details = dict(sealed.details)
    if sealed.measures:
        details["measures"] = dict(sealed.measures)
    folders = {
        name: _folder(run, name, local, sealed.finished.get(name, {}), sealed.copied.get(name, {}))
        for name, local in sealed.folders.items()
    }
    folders |= details.pop("folders", {})
    plan = run.plan
    inputs = {
        name: {"run_id": (read := context.record(name)).run_id, "fingerprint": read.fingerprint}
        for name in plan.reads(run.stage)
    }
    return Record(
        run_id=plan.run_id,
        stage=run.stage,
        fingerprint=run.fingerprint,
        created_at=_now(),
        code_version=spavl.__version__,
        config=plan.config[run.stage],
        inputs=inputs,
        tables={name: each.to_json() for name, each in tables.items()},
        folders=folders,
        counts=counts,
        details=details,
        check=report,
        requests={**work_list.requests_of(run.store, run.folder), "seal": dict(run.store.requests)}
        if run.store.requests
        else {},
    )


def _folder(
    run: StageRun, name: str, local: Path, finished: Mapping[str, str], copied: Mapping[str, CopiedFile]
) -> dict[str, Any]:
    """Upload a folder, and copy to it the files that the store has already."""
    path = f"{run.folder}/{name}"
    files = run.store.upload(local, path, finished)
    for relative, file in copied.items():
        run.store.copy(file.source, f"{path}/{relative}")
        files[relative] = {"sha256": file.sha256, "num_bytes": file.num_bytes}
    return {"path": path, "files": files}


def _side_tables(
    run: StageRun, context: RunContext, answered: AnsweredRows, sealed: Sealed
) -> dict[str, Table]:
    """Those that the stage gives, those that its items' rows went to, and what it was all made of if that is another type."""
    tables = {name: each for name, each in answered.tables.items() if name != "table"}
    if "table" in answered.tables and answered.row_type is not run.row_type:
        tables["parts"] = answered.tables["table"]
    former = context.previous(run.stage)
    for name, side in sealed.side_tables.items():
        if isinstance(side, Derived):
            tables[name] = relation_table(
                run,
                context.tables.engine,
                side.relation,
                side.row_type,
                former,
                name,
                context.forgotten,
                side.order,
            )
        elif side:
            tables[name] = rows_table(run, side, type(side[0]))
    return tables


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
