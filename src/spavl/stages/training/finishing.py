"""How every method's training ends: the ranks part, and rank 0 writes what was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spavl.learning import process_group, trainer
from spavl.learning.preparing import Prepared, Process
from spavl.learning.saving import save_adapter, save_model
from spavl.stages.training.config import TrainingConfig
from spavl.stages.training.made import Aligned, Source
from spavl.stages.training.rows import TrainingMetric


def finish(
    prepared: Prepared,
    state: Mapping[str, Any],
    source: Source,
    settings: TrainingConfig,
    work_folder: Path,
    process: Process,
    rows: list[TrainingMetric],
    counts: dict[str, int],
    details: dict[str, Any],
) -> Aligned:
    """Model and adapter of the trained weights `state`, in `work_folder`; every rank calls it, and only rank 0 has folders."""
    process_group.leave()
    if process.rank:
        return Aligned(None, None, rows, counts)
    adapter = save_adapter(prepared, state, settings, work_folder / "adapter") if settings.lora else None
    model = save_model(prepared, state, source.base, settings, work_folder / "model")
    boards = work_folder / trainer.TENSORBOARD
    return Aligned(model, adapter, rows, counts, details, boards if boards.is_dir() else None)
