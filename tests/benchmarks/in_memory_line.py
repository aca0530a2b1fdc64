"""Runs stages on rows kept in memory: the real stages, without plan, shards, part files or suites; side tables lie in a store."""

from __future__ import annotations

import hashlib
import importlib
import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spavl.artifacts.record import Record
from spavl.artifacts.store import open_store
from spavl.config import Config, Section
from spavl.inference import resolve_revision
from spavl.pipeline import BY_NAME
from spavl.records import to_table
from spavl.stage import Chunk, Sealed


class InMemoryLine:
    """A StageContext whose tables are lists; blobs lie in a store under `folder`."""

    def __init__(self, config: Config, folder: Path, run_id: str) -> None:
        self.config = config
        self.run_id = run_id
        self.store = open_store(f"file://{folder / 'store'}")
        self.scratch = folder / "scratch"
        self.scratch.mkdir(parents=True)
        self._tables: dict[str, list[Any]] = {}
        self._records: dict[str, Record] = {}
        self._stage = ""

    def run(self, *stages: str) -> Sealed:
        """Run stages in order; returns what the last one sealed."""
        for stage in stages:
            self._stage = stage
            module = importlib.import_module(f"spavl.{stage}.stage")
            sealed = module.seal(self, self._worked(module) if BY_NAME[stage].is_sharded else [])
            self._tables[stage] = list(sealed.rows)
            self._records[stage] = self._record(stage, sealed)
        return sealed

    def _worked(self, module: Any) -> list[Any]:
        items = module.prepare(self)
        size = self.section().chunk_size
        rows: list[Any] = []
        for group in dict.fromkeys(item.group for item in items):
            mine = [item for item in items if item.group == group]
            chunks = [Chunk(k // size, mine[k : k + size]) for k in range(0, len(mine), size)]
            rows += module.work(self, group, iter(chunks))
        return rows

    def section(self) -> Section:
        return getattr(self.config, self._stage)

    def rows(self, stage: str) -> list[Any]:
        return self._tables[stage]

    def revision(self, model_name: str) -> str:
        models = [*self.config.responses.models, self.config.questions.generator]
        models += [self.config.judgements.judge, self.config.comparisons.judge]
        return resolve_revision(next(model for model in models if model and model.name == model_name))

    def record(self, stage: str) -> Record:
        return self._records[stage]

    def _record(self, stage: str, sealed: Sealed) -> Record:
        """Of the side tables alone, which lie in the store; the table itself is in memory."""
        tables = {}
        for name, rows in sealed.side_tables.items():
            if rows:
                content = io.BytesIO()
                pq.write_table(to_table(rows, type(rows[0])), content)
                path = f"runs/{self.run_id}/{stage}/{name}.parquet"
                self.store.write(path, content.getvalue())
                tables[name] = {"path": path, "sha256": hashlib.sha256(content.getvalue()).hexdigest()}
                tables[name] |= {"row_type": type(rows[0]).__name__, "num_rows": len(rows)}
        section = getattr(self.config, stage).model_dump(mode="json")
        return Record(self.run_id, stage, "f", "2026-01-01T00:00:00Z", "0", section, {}, tables)

    def previous(self, stage: str) -> None:
        return None

    def progress(self, done: int, total: int, note: str = "") -> None:
        return None
