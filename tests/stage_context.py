"""A StageContext for tests, and a runner of one stage in this process: prepare, chunks, work, seal.

It checks what the real runner demands of a stage: unique item ids, one PART row per item, rows of the right types.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from spavl.artifacts.engine import Engine
from spavl.artifacts.parts import Table, in_batches, table_of, write_parts
from spavl.artifacts.record import Record
from spavl.artifacts.store import Store
from spavl.config import Section
from spavl.config.root import Config
from spavl.records import arrow_schema, stable_hash, to_table
from spavl.stage import Chunk, Derived, Items, Sealed, WorkItem
from spavl.stages import row_type_named, row_type_of


def _scratch_folder() -> Path:
    """An empty folder that lives as long as the test process: what `seal` returns may lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="spavl-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class FakeAnswered(list):
    """`spavl.stage.Answered` over row objects; it is also the list of the rows of "table"."""

    def __init__(self, tables: FakeTables, rows: Mapping[str, Sequence[Any]], row_type: type) -> None:
        super().__init__(rows.get("table", ()))
        self._tables, self._rows, self._type = tables, rows, row_type

    def num_rows(self, table: str = "table") -> int:
        return len(self._rows.get(table, ()))

    def rows(self, table: str = "table") -> list[Any]:
        return list(self._rows.get(table, ()))

    def relation(self, table: str = "table") -> Any:
        return self._tables.view(f"answered_{table}", to_table(self.rows(table), self._type))


class FakeTables:
    """`spavl.stage.Tables` over the rows that the test gives, and over the records of a former run."""

    def __init__(self, context: FakeContext) -> None:
        self._context = context
        self.engine = Engine(context.store, context.scratch, context.scratch / "cache")

    def open(self, stage: str, name: str = "table", *, view: str | None = None) -> Any:
        if name == "table":
            row_type = row_type_of(stage)
            return self.engine.view(view or stage, to_table(self._context.rows(stage), row_type))
        table = table_of(self._context.record(stage), name)
        return self.engine.view(view or stage, self.engine.relation_of(table))

    def former(self, stage: str, name: str = "table", *, view: str | None = None) -> Any:
        record = self._context.previous(stage)
        if record is None or name not in record.tables:
            return None
        table = table_of(record, name)
        return self.engine.view(
            view or f"former_{stage}", self.engine.relation_of(table, row_type_named(table.row_type))
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


def former_record(
    store: Store, stage: str, rows: Mapping[str, Sequence[Any]], run_id: str = "20251231-former"
) -> Record:
    """The record of a former run, its tables written: name -> rows, none empty."""
    tables = {}
    for name, of_table in rows.items():
        row_type = type(of_table[0])
        parts = write_parts(store, stage, arrow_schema(row_type), in_batches(of_table, row_type))
        tables[name] = Table(row_type.__name__, len(of_table), parts).to_json()
    return Record(run_id, stage, "former", "2025-12-31T00:00:00Z", "test", {}, {}, tables)


@dataclass
class FakeContext:
    """All of StageContext's methods over plain dicts; `revisions` defaults to "<name>-rev"."""

    config: Config
    store: Store
    stage: str
    rows_by_stage: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    records_by_stage: Mapping[str, Record] = field(default_factory=dict)
    previous_by_stage: Mapping[str, Record] = field(default_factory=dict)
    revisions: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reference_records: Mapping[tuple[str, str], Record] = field(default_factory=dict)  # role, stage -> record
    number: int = 1  # of the decision
    forgotten: frozenset[str] = frozenset()
    run_id: str = "20260101-test"
    home: str = ""
    scratch: Path = field(default_factory=_scratch_folder)
    progress_calls: list[tuple[int, int, str]] = field(default_factory=list)

    @functools.cached_property
    def tables(self) -> FakeTables:
        return FakeTables(self)

    def section(self) -> Section:
        return getattr(self.config, self.stage)

    def record(self, stage: str) -> Record:
        if stage in self.records_by_stage:
            return self.records_by_stage[stage]
        tables = {"table": {"num_rows": len(self.rows_by_stage[stage])}}
        fingerprint = stable_hash([dataclasses.asdict(row) for row in self.rows_by_stage[stage]])
        return Record(self.run_id, stage, fingerprint, "2026-01-01T00:00:00Z", "test", {}, {}, tables)

    def rows(self, stage: str) -> list[Any]:
        return list(self.rows_by_stage[stage])

    def revision(self, model_name: str) -> str:
        return self.revisions.get(model_name, f"{model_name}-rev")

    def previous(self, stage: str) -> Record | None:
        return self.previous_by_stage.get(stage)

    def reference(self, role: str, stage: str) -> Record:
        return self.reference_records[role, stage]

    def decision_number(self) -> int:
        return self.number

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.progress_calls.append((done, total, note))


def chunks_of(items: Sequence[WorkItem], chunk_size: int) -> list[Chunk]:
    """Consecutive chunks, as the runner cuts them; payloads make the trip through JSON as the work list does."""
    items = [dataclasses.replace(item, payload=json.loads(json.dumps(dict(item.payload)))) for item in items]
    starts = range(0, len(items), chunk_size)
    return [Chunk(number, items[start : start + chunk_size]) for number, start in enumerate(starts)]


def work_rows(
    module: ModuleType, ctx: FakeContext, items: Sequence[WorkItem], chunk_size: int = 16
) -> list[Any]:
    """The PART rows of all items, group by group in order of first appearance; asserts exactly one per item."""
    assert len({item.id for item in items}) == len(items), "two work items have one id"
    rows: list[Any] = []
    for group in dict.fromkeys(item.group for item in items):
        of_group = [item for item in items if item.group == group]
        rows += module.work(ctx, group, iter(chunks_of(of_group, chunk_size)))
    assert all(type(row) is module.PART for row in rows)
    assert sorted(row.id for row in rows) == sorted(item.id for item in items), "not exactly one row per item"
    return rows


def items_of(ctx: FakeContext, prepared: Any) -> list[WorkItem]:
    """What `prepare` gave, as WorkItems in the order of the list."""
    if not isinstance(prepared, Items):
        return list(prepared)
    relation = prepared.relation.order(", ".join(f'"{name}"' for name in prepared.order))
    items = []
    for row in relation.to_arrow_table().to_pylist():
        id, group, table = row.pop("id"), row.pop("group"), row.pop("table", "table")
        items.append(WorkItem(id, group, row, table))
    return items


def table_type(module: ModuleType) -> type:
    """The row type of the table of the stage whose `stage` module this is."""
    return row_type_of(module.__name__.split(".")[-2])


def run_stage(module: ModuleType, ctx: FakeContext, chunk_size: int = 16) -> Sealed:
    """prepare → chunks → work → seal in this process; a stage without `prepare` is sealed alone.

    The rows of the result are row objects, however the stage made them.
    """
    by_table: dict[str, list[Any]] = {}
    part_type = getattr(module, "PART", None) or table_type(module)
    if hasattr(module, "prepare"):
        items = items_of(ctx, module.prepare(ctx))
        place = {item.id: (number, item.table) for number, item in enumerate(items)}
        rows = sorted(work_rows(module, ctx, items, chunk_size), key=lambda row: place[row.id][0])
        for row in rows:
            by_table.setdefault(place[row.id][1], []).append(row)
    sealed = module.seal(ctx, FakeAnswered(ctx.tables, by_table, part_type))
    return as_rows(ctx, module, sealed, by_table)


def as_rows(
    ctx: FakeContext, module: ModuleType, sealed: Sealed, answered: Mapping[str, list[Any]]
) -> Sealed:
    """The same with row objects in place of relations."""
    rows = sealed.rows
    if rows is None:
        rows = answered.get("table", [])
    elif hasattr(rows, "create_view"):
        rows = rows.order(sealed.order) if sealed.order else rows
        rows = list(ctx.tables.rows(rows, table_type(module)))
    sides = {
        name: list(ctx.tables.rows(side.relation, side.row_type)) if isinstance(side, Derived) else side
        for name, side in sealed.side_tables.items()
    }
    sides |= {name: of_table for name, of_table in answered.items() if name != "table"}
    assert all(type(row) is table_type(module) for row in rows)
    return dataclasses.replace(sealed, rows=rows, side_tables=sides)
