"""A StageContext for tests, and a runner of one stage in this process: prepare, chunks, work, seal.

It checks what the real runner demands of a stage: unique item ids, one PART row per item, rows of the right types.
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from spavl.artifacts.record import Record
from spavl.artifacts.store import Store
from spavl.config import Config, Section
from spavl.records import stable_hash
from spavl.stage import Chunk, Sealed, WorkItem


def _scratch_folder() -> Path:
    """An empty folder that lives as long as the test process: what `seal` returns may lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="spavl-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


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
    run_id: str = "20260101-test"
    scratch: Path = field(default_factory=_scratch_folder)
    progress_calls: list[tuple[int, int, str]] = field(default_factory=list)

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


def run_stage(module: ModuleType, ctx: FakeContext, chunk_size: int = 16) -> Sealed:
    """prepare → chunks → work → seal in this process; a stage without `prepare` is sealed alone."""
    rows: list[Any] = []
    if hasattr(module, "prepare"):
        items = module.prepare(ctx)
        order = {item.id: number for number, item in enumerate(items)}
        rows = sorted(work_rows(module, ctx, items, chunk_size), key=lambda row: order[row.id])
    sealed = module.seal(ctx, rows)
    assert all(type(row) is module.TABLE for row in sealed.rows)
    return sealed
