"""One training run of the `training` stage on toy rows: what a test and the child process that it kills both do.

As a program: `python -m tests.toy_training FOLDER BASE`; the store is FOLDER/store and BASE a model.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import yaml
from tests.stage_context import FakeContext, chunks_of
from tests.toy_pairs import toy_rows

from spavl import run as steps
from spavl.artifacts.record import Record, record_path, stage_folder
from spavl.artifacts.store import Store, open_store
from spavl.config.root import Config
from spavl.inference.revision import folder_revision
from spavl.plan import Plan, make_plan
from spavl.records import to_table
from spavl.stages.dataset.rows import DatasetRow
from spavl.stages.training.rows import TrainingMetric

DATASET_RUN = "20260101-0123456789"

RECIPE: dict[str, Any] = {
    "lora": {"r": 8, "alpha": 16, "dropout": 0.1},
    "learning_rate": 5e-3,
    "num_epochs": 12,
    "global_batch_size": 4,
    "warmup_steps": 2,
    "checkpoint_every_steps": 5,
    "log_every_steps": 3,
}


def toy_context(folder: Path, base: Path, num_per_image: int = 1, **recipe: Any) -> FakeContext:
    """A context of the `training` stage over FOLDER/store with 14 train and 2 validation pairs."""
    rows, images = toy_rows(14, 2, num_per_image)
    store = open_store(f"file://{folder / 'store'}")
    for image in images:
        store.put_blob(image)
    spec = {"kind": "transformers", "name": "tiny", "path": str(base), "device": "cpu"}
    config = Config.model_validate({"profile": "test", "training": {**RECIPE, **recipe, "base": spec}})
    revisions = {"tiny": folder_revision(base, "tiny")}
    return FakeContext(config, store, "training", {"dataset": rows}, revisions=revisions)


def planned_training(
    store: Store, folder: Path, base: Path, rows: list[DatasetRow] | None = None, **recipe: Any
) -> Plan:
    """A planned run of `align_model` over toy rows, its `training` prepared: what the command line can go on with."""
    toys, images = toy_rows(14, 2)
    for image in images:
        store.put_blob(image)
    write_dataset(store, rows or toys)
    base_spec = {"kind": "transformers", "name": "tiny", "path": str(base), "device": "cpu"}
    profile = folder / "profile.yaml"
    judge = {"evaluation": {"judge": {"kind": "demo_rules"}}}
    profile.write_text(yaml.safe_dump({"training": {**RECIPE, **recipe, "base": base_spec}, **judge}))
    plan = make_plan(
        store, dag="align_model", airflow_run_id="tonight", profile=str(profile), dataset_run=DATASET_RUN
    )
    steps.prepare(store, plan, "training")
    return plan


def write_dataset(store: Store, rows: list[DatasetRow]) -> None:
    """The record of a dataset version with these rows, as run DATASET_RUN would have left it."""
    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(to_table(rows, DatasetRow), content)
    path = f"{stage_folder(DATASET_RUN, 'dataset')}/table.parquet"
    store.write(path, content.getvalue())
    sha256 = hashlib.sha256(content.getvalue()).hexdigest()
    table = {"path": path, "row_type": "DatasetRow", "num_rows": len(rows), "sha256": sha256}
    made_at = "2026-01-01T00:00:00+00:00"
    record = Record(DATASET_RUN, "dataset", "toy", made_at, "0.1.0", {}, {}, {"table": table})
    store.write(record_path(DATASET_RUN, "dataset"), record.to_json())


def train(context: FakeContext) -> list[TrainingMetric]:
    """All rows that the stage's work yields."""
    from spavl.stages.training import stage

    (item,) = stage.prepare(context)
    return list(stage.work(context, item.group, iter(chunks_of([item], 1))))


if __name__ == "__main__":
    train(toy_context(Path(sys.argv[1]), Path(sys.argv[2])))
