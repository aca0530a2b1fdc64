"""One training of a reward model, as the stage `reward` does it, on toy rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.stage_context import FakeContext, chunks_of
from tests.toy_pairs import toy_rows

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.inference.revision import folder_revision
from spavl.stages.training.rows import TrainingMetric

RECIPE: dict[str, Any] = {
    "lora": {"r": 8, "alpha": 16},
    "learning_rate": 5e-3,
    "num_epochs": 6,
    "global_batch_size": 4,
    "warmup_steps": 2,
    "checkpoint_every_steps": 5,
    "log_every_steps": 3,
}


def reward_context(folder: Path, base: Path, **recipe: Any) -> FakeContext:
    """A context of the stage over FOLDER/store with 14 train and 2 validation pairs."""
    rows, images = toy_rows(14, 2)
    store = open_store(f"file://{folder / 'store'}")
    for image in images:
        store.put_blob(image)
    spec = {"kind": "transformers", "name": "tiny", "path": str(base), "device": "cpu"}
    sections = {"training": {"base": spec}, "reward": {**RECIPE, **recipe}}
    config = Config.model_validate({"profile": "test", **sections})
    revisions = {"tiny": folder_revision(base, "tiny")}
    return FakeContext(config, store, "reward", {"dataset": rows}, revisions=revisions)


def train(context: FakeContext) -> list[TrainingMetric]:
    """All rows that the stage's work yields."""
    from spavl.stages.reward import stage

    (item,) = stage.prepare(context)
    return list(stage.work(context, item.group, iter(chunks_of([item], 1))))
