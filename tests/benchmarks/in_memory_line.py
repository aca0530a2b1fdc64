"""Runs stages on rows kept in memory: the real stages, without plan, shards, part files or suites; side tables lie in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.stage_context import FakeContext, former_record, run_stage

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.inference import resolve_revision
from spavl.stage import Sealed
from spavl.stages import stage_module


class InMemoryLine(FakeContext):
    """A StageContext whose tables are lists; blobs lie in a store under `folder`."""

    def __init__(self, config: Config, folder: Path, run_id: str) -> None:
        super().__init__(
            config,
            open_store(f"file://{folder / 'store'}"),
            stage="",
            rows_by_stage={},
            records_by_stage={},
            run_id=run_id,
            scratch=folder / "scratch",
        )
        self.scratch.mkdir(parents=True)

    def run(self, *stages: str) -> Sealed:
        """Run stages in order; returns what the last one sealed, as row objects."""
        for stage in stages:
            self.stage = stage
            module: Any = stage_module(stage)
            sealed = run_stage(module, self, getattr(self.section(), "chunk_size", 1))
            sides = {name: rows for name, rows in sealed.side_tables.items() if rows}
            self.rows_by_stage[stage] = list(sealed.rows)
            self.records_by_stage[stage] = former_record(self.store, stage, sides, self.run_id)
        return sealed

    def revision(self, model_name: str) -> str:
        models = [*self.config.responses.models, self.config.questions.generator]
        models += [self.config.judgements.judge, self.config.comparisons.judge]
        return resolve_revision(next(model for model in models if model and model.name == model_name))
