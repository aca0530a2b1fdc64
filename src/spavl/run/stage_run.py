"""One stage of one run: its paths, fingerprint, record, lease and module. Every step begins with it."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.artifacts.engine import memory_explained
from spavl.artifacts.lease import Lease, lease
from spavl.artifacts.record import Record, read_record, stage_folder
from spavl.artifacts.store import Store
from spavl.config import spavl_home
from spavl.config.portable import home_free
from spavl.errors import UserError
from spavl.outcome import Outcome
from spavl.pipeline import BY_NAME, StageInfo
from spavl.plan import Plan
from spavl.records import arrow_schema, stable_hash
from spavl.run import work_list
from spavl.run.context import RunContext
from spavl.stage import StageModule
from spavl.stages import row_type_of, stage_module


@dataclass(frozen=True)
class StageRun:
    """What every step of a stage needs to know; raises UserError for a word that is not a stage."""

    store: Store
    plan: Plan
    stage: str

    def __post_init__(self) -> None:
        stage_module(self.stage)

    @property
    def info(self) -> StageInfo:
        return BY_NAME[self.stage]

    @property
    def module(self) -> StageModule:
        return stage_module(self.stage)

    @property
    def folder(self) -> str:
        return stage_folder(self.plan.run_id, self.stage)

    @property
    def row_type(self) -> type:
        """Of the stage's table."""
        return row_type_of(self.stage)

    @property
    def config(self) -> Any:
        """The stage's section of the config."""
        return self.context.section()

    @functools.cached_property
    def context(self) -> RunContext:
        """What the stage may touch; its scratch folder is there while the run is `working`."""
        return RunContext(self.store, self.plan, self.stage, Path())

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of what decides the artifact: its inputs, config section, pinned models, suite and row type."""
        plan, context = self.plan, self.context
        inputs = {name: context.record(name).fingerprint for name in plan.reads(self.stage)}
        forgotten = [plan.forgotten] if plan.forgotten else []
        return stable_hash(
            self.stage,
            inputs,
            home_free(plan.config[self.stage], plan.home),
            plan.revisions,
            plan.suites[self.stage],
            plan.previous.get(self.stage),
            str(arrow_schema(self.row_type)),
            *forgotten,
        )

    def record(self) -> Record | None:
        """The stage's record, if it is sealed; raises UserError if it was made from other inputs."""
        record = read_record(self.store, self.plan.run_id, self.stage)
        if record is not None and record.fingerprint != self.fingerprint:
            raise UserError(
                f"run {self.plan.run_id} already has another `{self.stage}` (its inputs differ).",
                next_step="Start a new run.",
            )
        return record

    def outcome(self, step: str, **fields: Any) -> Outcome:
        return Outcome(self.stage, step, self.plan.run_id, **fields)

    def settled(self, step: str) -> Outcome | None:
        """The outcome of a step that has nothing to do: the stage is left out of this run, or sealed already."""
        plan = self.plan
        if self.stage not in plan.stages:
            method = plan.config["training"]["method"]
            reason = (
                f"only training.method {self.info.only_for!r} needs `{self.stage}`; this run's is {method!r}."
            )
            return self.outcome(step, verdict="skipped", next_step=reason)
        record = self.record()
        return self.outcome(step, verdict="already done", counts=record.counts) if record else None

    def not_prepared(self) -> UserError:
        return UserError(
            f"`{self.stage}` of run {self.plan.run_id} is not prepared.",
            next_step=f"Run `spavl prepare {self.stage} --run-id {self.plan.run_id}` first.",
        )

    @contextlib.contextmanager
    def working(self, unit: str) -> Iterator[tuple[RunContext, Lease]]:
        """The lease of one unit of work, and a context with an empty scratch folder."""
        limit_mb = self.context.config.tables.memory_limit_mb
        with (
            memory_explained(limit_mb),
            lease(self.store, f"{self.folder}/leases/{unit}") as held,
            self.scratch(unit) as context,
        ):
            yield context, held
            if unit != "seal":  # its own are in the record that it has just written
                work_list.keep_requests(self.store, self.folder, unit)

    @contextlib.contextmanager
    def scratch(self, unit: str) -> Iterator[RunContext]:
        """A context with an empty folder: what a killed process left there is removed, and what this one makes when it ends well."""
        folder = spavl_home() / "scratch" / f"{self.plan.run_id}-{self.stage}-{unit}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.context.scratch = folder
        yield self.context
        shutil.rmtree(folder, ignore_errors=True)
