"""What the store knows of a run: its plan, each stage's record, the evidence of a failed check. Reads; never judges."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.artifacts.parts import table_of
from spavl.artifacts.record import Record, read_record, stage_folder
from spavl.artifacts.record import read_columns as table_columns
from spavl.artifacts.store import Store
from spavl.errors import UserError
from spavl.pipeline import BY_NAME, DAGS, stages_of
from spavl.report.checks import verdict_of

if TYPE_CHECKING:
    from spavl.artifacts.engine import Engine, Relation

GATE = "evaluation"  # the stage whose suite is the release gate


@dataclass(frozen=True)
class StageState:
    """One stage, in the run that made it."""

    name: str
    run_id: str
    record: Record | None
    evidence: dict[str, Any] | None  # {"report": …, "counts": …, "at": …} of the check that failed
    is_started: bool
    failure: dict[str, Any] | None = (
        None  # the outcome that a step of the stage ended with, where it did not end well
    )

    @property
    def word(self) -> str:
        """done, failed, inconclusive, started or not done."""
        if self.record:
            return "done"
        if self.evidence:
            return "inconclusive" if verdict_of(self.check) == "inconclusive" else "failed"
        if (self.failure or {}).get("verdict") in ("failed", "inconclusive"):
            return str((self.failure or {})["verdict"])
        return "started" if self.is_started else "not done"

    @property
    def check(self) -> dict[str, Any]:
        """The report of the suite: of the check that passed, or of the one that failed; empty where none ran."""
        if self.record:
            return self.record.check
        return (self.evidence or {}).get("report") or {}

    @property
    def counts(self) -> dict[str, int]:
        return self.record.counts if self.record else (self.evidence or {}).get("counts") or {}

    @property
    def measures(self) -> dict[str, float | None]:
        """What the stage measured over its whole table, also where its check failed; empty where it measured nothing."""
        if self.record:
            return self.record.details.get("measures") or {}
        return (self.evidence or {}).get("measures") or {}

    @property
    def details(self) -> dict[str, Any]:
        return self.record.details if self.record else (self.evidence or {}).get("details") or {}


@dataclass(frozen=True)
class RunState:
    """A run and, for what it reads, the runs it was planned on."""

    run_id: str
    plans: dict[str, dict[str, Any]]  # run id -> plan; this run's first
    stages: dict[str, StageState]  # in the order of the pipeline
    approval: dict[str, Any] | None = None  # what a person decided about the release

    @property
    def plan(self) -> dict[str, Any]:
        return self.plans[self.run_id]

    @property
    def own(self) -> list[StageState]:
        """The stages of this run itself."""
        return [stage for stage in self.stages.values() if stage.run_id == self.run_id]

    @property
    def is_decided(self) -> bool:
        """Whether the release gate has been checked, whatever it said."""
        return GATE in self.stages and bool(verdict_of(self.stages[GATE].check))

    def record(self, stage: str) -> Record | None:
        return self.stages[stage].record if stage in self.stages else None


def read_run(store: Store, run_id: str) -> RunState:
    """The state of a run; raises UserError where there is no such run."""
    plans = _plans(store, run_id)
    run_of = {stage: planned for planned, plan in plans.items() for stage in stages_planned(plan)}
    stages = {stage: read_stage(store, run_of[stage], stage) for stage in BY_NAME if stage in run_of}
    return RunState(run_id, plans, stages, read_json(store, f"runs/{run_id}/approval.json"))


def read_columns(
    store: Store, record: Record | None, columns: Sequence[str], table: str = "table"
) -> list[dict[str, Any]]:
    """Some columns of a record's table, checksum verified; no rows where there is no record or no such table."""
    if record is None or table not in record.tables:
        return []
    return table_columns(store, record, columns, table).to_pylist()


@contextlib.contextmanager
def open_tables(store: Store) -> Iterator[RecordedTables]:
    """The tables of records, read by one engine."""
    from spavl.artifacts.engine import small_engine

    with small_engine(store) as engine:
        yield RecordedTables(engine)


class RecordedTables:
    """Tables of records as lazy relations: large ones are counted where they lie."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(
        self, record: Record | None, columns: Sequence[str], table: str = "table", *, is_ordered: bool = False
    ) -> Relation | None:
        """The table with these columns, in the order of its rows if `is_ordered`.

        None if there is no record or no such table, and if a table of another version of spavl lacks one of the columns.
        """
        if record is None or table not in record.tables:
            return None
        found = self._engine.relation_of(table_of(record, table), is_ordered=is_ordered)
        return found if set(columns) <= set(found.columns) else None


def rows_of_stage(store: Store, stage: StageState | None, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Some columns of a stage's table: of its record, or of the rows that a failed check kept as evidence; else no rows.

    Columns that evidence of another version does not have are left out.
    """
    if stage is None or stage.word not in ("done", "failed", "inconclusive"):
        return []
    if stage.record:
        return read_columns(store, stage.record, columns)
    path = f"{stage_folder(stage.run_id, stage.name)}/evidence/table.parquet"
    return _columns_of(store.read(path), columns) if store.exists(path) else []


def _columns_of(content: bytes, columns: Sequence[str]) -> list[dict[str, Any]]:
    import io

    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(content))
    return file.read([name for name in columns if name in file.schema_arrow.names]).to_pylist()


def data_docs_link(store: Store, run_id: str, stage: StageState) -> str | None:
    """Link from `runs/<run_id>/` to the stage's Data Docs; None where it has none."""
    pages = [
        path
        for path in store.walk(f"runs/{stage.run_id}/data_docs/{stage.name}")
        if path.endswith("index.html")
    ]
    if not pages:
        return None
    page = min(pages, key=len).removeprefix(f"runs/{stage.run_id}/")
    return page if stage.run_id == run_id else f"../{stage.run_id}/{page}"


def stages_planned(plan: dict[str, Any]) -> tuple[str, ...]:
    """The stages of a plan, in order; none for a DAG that this version does not know.

    A plan of an older version has a suite for each stage that it knew: a stage that came later is none of its own.
    """
    method = ((plan.get("config") or {}).get("training") or {}).get("method", "dpo")
    stages = stages_of(plan["dag"], method) if plan.get("dag") in DAGS else ()
    suites = plan.get("suites")
    return tuple(stage for stage in stages if stage in suites) if suites else stages


def _plans(store: Store, run_id: str) -> dict[str, dict[str, Any]]:
    plan = read_json(store, f"runs/{run_id}/plan.json")
    if plan is None:
        raise UserError(
            f"there is no run {run_id} in {store.url}.", next_step="`spavl status` lists the runs."
        )
    plans = {run_id: plan}
    for source in _runs_read(plan):
        if source not in plans and (other := read_json(store, f"runs/{source}/plan.json")):
            plans[source] = other
    return plans


def _runs_read(plan: dict[str, Any]) -> Iterator[str]:
    return (entry["run_id"] for entry in (plan.get("inputs") or {}).values() if entry.get("run_id"))


def read_stage(store: Store, run_id: str, stage: str) -> StageState:
    """What the store knows of one stage of a run."""
    folder = stage_folder(run_id, stage)
    record = read_record(store, run_id, stage)
    evidence = None if record else read_json(store, f"{folder}/evidence/report.json")
    is_started = record is not None or bool(store.names(folder))
    failure = None if record else read_json(store, f"{folder}/failure.json")
    return StageState(stage, run_id, record, evidence, is_started, failure)


def read_json(store: Store, path: str) -> dict[str, Any] | None:
    """The JSON object at `path`; None where there is none."""
    try:
        content = json.loads(store.read(path))
    except FileNotFoundError:
        return None
    return content if isinstance(content, dict) else None
