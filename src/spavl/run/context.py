"""The StageContext that the runner hands to a stage: the plan, the store and nothing else."""

from __future__ import annotations

import functools
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl import ranks
from spavl.artifacts import decisions, forgotten
from spavl.artifacts.parts import table_of
from spavl.artifacts.record import Record, read_record, read_rows
from spavl.artifacts.store import Store
from spavl.config import Section, spavl_home
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.plan import Plan
from spavl.stages import row_type_of

if TYPE_CHECKING:
    from spavl.artifacts.engine import Engine, Relation

log = logging.getLogger("spavl")
PROGRESS_EVERY_S = 2.0


class RunContext:
    """One stage of one run, as `spavl.stage.StageContext` describes it."""

    def __init__(self, store: Store, plan: Plan, stage: str, scratch: Path) -> None:
        self.run_id = plan.run_id
        self.home = plan.home
        self.config: Config = plan.resolved
        self.store = store
        self.scratch = scratch
        self.references = plan.references
        self._plan = plan
        self._stage = stage
        self._rows: dict[str, list[Any]] = {}
        self._records: dict[str, Record] = {}  # of the stages that this one reads; a record never changes
        self._former: dict[str, Record | None] = {}
        self._progress = Progress(stage)
        self._is_first_rank = ranks.rank() == 0  # asked once: progress is told for every row

    @functools.cached_property
    def tables(self) -> RunTables:
        return RunTables(self)

    def section(self) -> Section:
        return getattr(self.config, self._stage)

    def record(self, stage: str) -> Record:
        if stage not in self._records:
            self._records[stage] = self._read_record(stage)
        return self._records[stage]

    def _read_record(self, stage: str) -> Record:
        run_id = self._plan.inputs.get(stage, {}).get("run_id", self.run_id)
        record = read_record(self.store, run_id, stage)
        if record is None:
            raise UserError(
                f"`{self._stage}` reads `{stage}`, which run {run_id} has not made.",
                next_step=f"Run `spavl {stage} --run-id {run_id}` first.",
            )
        expected = self._plan.inputs.get(stage, {}).get("fingerprint", record.fingerprint)
        if record.fingerprint != expected:
            raise UserError(
                f"`{stage}` of run {run_id} is not the one this run was planned with.",
                next_step="Start a new run.",
            )
        return record

    def rows(self, stage: str) -> list[Any]:
        if stage not in self._rows:
            self._rows[stage] = read_rows(self.store, self.record(stage), row_type_of(stage))
        return self._rows[stage]

    def revision(self, model_name: str) -> str:
        try:
            return self._plan.revisions[model_name]
        except KeyError:
            raise UserError(
                f"the plan knows no model {model_name!r}.",
                next_step=f"It pins {', '.join(self._plan.revisions)}.",
            ) from None

    def previous(self, stage: str) -> Record | None:
        known = self._plan.previous.get(stage)
        if known and stage not in self._former:
            self._former[stage] = read_record(self.store, known["run_id"], stage)
        return self._former.get(stage)

    def reference(self, role: str, stage: str) -> Record:
        known = self._plan.references[role]
        release = read_record(self.store, known["run_id"], "release")
        record = read_record(self.store, known["run_id"], stage)
        if record is None or release is None or release.fingerprint != known["fingerprint"]:
            raise UserError(
                f"the {role} release, run {known['run_id']}, is gone or not the one this run was planned with.",
                next_step="Start a new run; if it is gone from the store, roll the channel back to one that is there.",
            )
        return record

    @functools.cached_property
    def forgotten(self) -> frozenset[str]:
        return forgotten.image_ids(self.store, self._plan.forgotten)

    def decision_number(self) -> int:
        name, since_entry = self.config.release.channel, self._plan.last_release
        return decisions.take_number(self.store, name, since_entry, self.run_id)

    def progress(self, done: int, total: int, note: str = "") -> None:
        if self._is_first_rank:
            self._progress(done, total, note)


class RunTables:
    """`spavl.stage.Tables` of one step: opened when a stage asks for the first table."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    @functools.cached_property
    def engine(self) -> Engine:
        from spavl.artifacts.engine import Engine

        limits = self._context.config.tables
        return Engine(
            self._context.store,
            self._context.scratch,
            spavl_home() / "cache" / "parts",
            memory_limit_mb=limits.memory_limit_mb,
            num_threads=limits.num_threads,
        )

    def open(self, stage: str, name: str = "table", *, view: str | None = None) -> Relation:
        row_type = row_type_of(stage) if name == "table" else None
        table = table_of(self._context.record(stage), name)
        return self.engine.view(view or stage, self.engine.relation_of(table, row_type))

    def former(self, stage: str, name: str = "table", *, view: str | None = None) -> Relation | None:
        record = self._context.previous(stage)
        if record is None or name not in record.tables:
            return None
        relation = self.engine.relation_of(table_of(record, name))
        return self.engine.view(view or f"former_{stage}", relation)

    def __getattr__(self, name: str) -> Any:
        """view, sql, value, rows and batches are the engine's own."""
        return getattr(self.engine, name)


class Progress:
    """One line at most every PROGRESS_EVERY_S, and one at the end: how far, how fast, how long still."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = self._shown = time.monotonic()
        self._first: int | None = None  # a resumed stage begins above 0: speed counts from there

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if done < total and now - self._shown < PROGRESS_EVERY_S:
            return
        self._shown = now
        speed = (done - self._first) / max(now - self._started, 1e-9)
        rest = f", {speed:.0f}/s, {(total - done) / speed:.0f} s left" if speed > 0 and done < total else ""
        share = f"{done / total:.0%}" if total else "100%"
        print(f"{self._what}: {done}/{total} ({share}{rest}) {note}".rstrip(), file=sys.stderr, flush=True)
