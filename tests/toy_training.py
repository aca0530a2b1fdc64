"""One training run of the `training` stage on toy rows: what a test and the child process that it kills both do.

As a program: `python -m tests.toy_training FOLDER BASE`; the store is FOLDER/store and BASE a model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.stage_context import FakeContext, chunks_of
from tests.toy_pairs import toy_rows

from spavl.artifacts.store import open_store
from spavl.config import Config
from spavl.inference.revision import folder_revision
from spavl.records import TrainingMetric

RECIPE: dict[str, Any] = {
    "lora": {"r": 8, "alpha": 16, "dropout": 0.1},
    "learning_rate": 5e-3,
    "num_epochs": 12,
    "global_batch_size": 4,
    "warmup_steps": 2,
    "checkpoint_every_steps": 5,
    "log_every_steps": 3,
}


def toy_context(folder: Path, base: Path, **recipe: Any) -> FakeContext:
    """A context of the `training` stage over FOLDER/store with 14 train and 2 validation pairs."""
    rows, images = toy_rows(14, 2)
    store = open_store(f"file://{folder / 'store'}")
    for image in images:
        store.put_blob(image)
    spec = {"kind": "transformers", "name": "tiny", "path": str(base), "device": "cpu"}
    config = Config.model_validate({"profile": "test", "training": {**RECIPE, **recipe, "base": spec}})
    revisions = {"tiny": folder_revision(base, "tiny")}
    return FakeContext(config, store, "training", {"dataset": rows}, revisions=revisions)


def train(context: FakeContext) -> list[TrainingMetric]:
    """All rows that the stage's work yields."""
    from spavl.training import stage

    (item,) = stage.prepare(context)
    return list(stage.work(context, item.group, iter(chunks_of([item], 1))))


if __name__ == "__main__":
    train(toy_context(Path(sys.argv[1]), Path(sys.argv[2])))
