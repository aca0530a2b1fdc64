"""What runs list: parts of tables, images, reference log-probabilities. Reads records and work lists; removes nothing."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field

from spavl.artifacts.engine import small_engine
from spavl.artifacts.parts import Part, Table, index_path, table_from_json, table_of
from spavl.artifacts.record import Record, read_record, record_path, stage_folder
from spavl.artifacts.store import Store
from spavl.plan import Plan, find_plan


@dataclass
class Contents:
    """Of one run or of several."""

    parts: dict[str, Part] = field(default_factory=dict)  # by path, the lists of dropped rows among them
    references: set[str] = field(default_factory=set)
    num_rows: int = 0  # of all tables
    uses_all_blobs: bool = False  # a run still at work on its images
    uses_all_references: bool = False  # a run still at work on its training
    image_tables: list[Table] = field(default_factory=list)

    def add(self, other: Contents) -> None:
        self.parts |= other.parts
        self.references |= other.references
        self.num_rows += other.num_rows
        self.uses_all_blobs |= other.uses_all_blobs
        self.uses_all_references |= other.uses_all_references
        self.image_tables += other.image_tables

    @property
    def files(self) -> set[str]:
        """Paths of all parts and their indexes."""
        return {path for part in self.parts for path in (part, index_path(part))}


def together(several: Iterable[Contents]) -> Contents:
    """What several runs list together."""
    found = Contents()
    for each in several:
        found.add(each)
    return found


def contents_of_run(store: Store, plan: Plan, files: Container[str]) -> Contents:
    """What one run lists: in its records, and in the work lists of stages that are not sealed.

    `files` is a listing of the runs: what it does not show is not asked for, which would be most of what is asked.
    """
    found = Contents()
    for stage in plan.stages:
        is_sealed = record_path(plan.run_id, stage) in files
        record = read_record(store, plan.run_id, stage) if is_sealed else None
        tables = _tables(record) if record else _of_work_list(store, plan.run_id, stage, files)
        for table in tables:
            found.parts |= {part.path: part for part in table.files}
            found.num_rows += table.num_rows
        if stage == "images":
            found.uses_all_blobs = record is None
            found.image_tables += [table_of(record)] if record else []
        if stage == "training":
            found.uses_all_references = record is None
            found.references |= (
                {record.details["references"]} if record and "references" in record.details else set()
            )
    return found


def image_ids(store: Store, tables: Iterable[Table]) -> set[str]:
    """Digests of the images that these tables name; each part is read once."""
    parts = {part.path: part for table in tables for part in table.parts}
    if not parts:
        return set()
    with small_engine(store) as engine:
        return {
            id for (id,) in engine.sql(f"SELECT id FROM {engine.parts_sql(list(parts.values()))}").fetchall()
        }


def runs_holding(store: Store, ids: frozenset[str]) -> frozenset[str]:
    """The runs with any of these images: those that list one in `images`, and those that were made from such a run."""
    found = {run: find_plan(store, run) for run in store.names("runs")}
    plans = {
        run: plan for run, plan in found.items() if plan is not None
    }  # others: of a prune that was killed
    holding = set()
    for run in plans:
        record = read_record(store, run, "images")
        if record is not None and ids & image_ids(store, [table_of(record)]):
            holding.add(run)
    made_from = {
        run
        for run, plan in plans.items()
        if any(source["run_id"] in holding for source in plan.inputs.values())
    }
    return frozenset(holding | made_from)


def _tables(record: Record) -> Iterator[Table]:
    return (table_of(record, name) for name in record.tables)


def _of_work_list(store: Store, run_id: str, stage: str, files: Container[str]) -> list[Table]:
    path = f"{stage_folder(run_id, stage)}/worklist.json"
    try:
        content = json.loads(store.read(path)) if path in files else {}
    except FileNotFoundError:  # removed since
        return []
    return [table_from_json(table) for table in content.get("reused", {}).values()]
