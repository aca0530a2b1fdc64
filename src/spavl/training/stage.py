"""Training: one work item, which is a whole DPO run. `work` keeps checkpoints in the store and leaves the model there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.artifacts.record import stage_folder
from spavl.errors import TryAgain, UserError
from spavl.learning.base_model import base_folder, transformers_base
from spavl.learning.checkpoints import Checkpoints
from spavl.learning.interruption import stop_on_sigterm
from spavl.learning.pairs import pairs_of
from spavl.records import DatasetRow, TrainingMetric, stable_hash
from spavl.stage import Chunk, Sealed, StageContext, WorkItem

if TYPE_CHECKING:
    from spavl.training.dpo import Aligned

PART = TABLE = TrainingMetric
CHECKPOINTED = True  # the rows of its one item come all at once, at the end

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "deepspeed")


def prepare(context: StageContext) -> list[WorkItem]:
    """The one run: dataset version, recipe and base model decide it."""
    section = context.config.training
    base = transformers_base(section.base)
    if not any(row.split == "train" for row in context.rows("dataset")):
        raise UserError("the dataset version has 0 train pairs.", next_step="Choose another dataset version.")
    recipe = section.model_dump(mode="json", exclude={"base"})
    identity = stable_hash(context.record("dataset").fingerprint, recipe, context.revision(base.name))
    return [WorkItem(identity, section.method)]


def work(context: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[TrainingMetric]:
    """Train, from the newest checkpoint where there is one; raises TryAgain after SIGTERM, its checkpoint saved."""
    (item,) = [item for chunk in chunks for item in chunk.items]
    try:
        aligned = _train(context, item)
    except TryAgain:
        shutil.rmtree(
            context.scratch, ignore_errors=True
        )  # the next attempt has its own; a model's weights are large
        raise
    _leave_in_store(context, {"model": aligned.model, "adapter": aligned.adapter}, aligned)
    yield from aligned.rows


def seal(context: StageContext, rows: list[TrainingMetric]) -> Sealed:
    """The metric history, and where the model lies; raises UserError where the store has lost some of it."""
    made = _read_left_in_store(context)
    base = transformers_base(context.config.training.base)
    details = {
        "folders": made["folders"],
        "base": {"name": base.name, "path": base.path, "revision": context.revision(base.name)},
        "method": context.config.training.method,
        "adaptation": "lora" if context.config.training.lora else "full",
        **made["details"],
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }
    Checkpoints(context.store, f"{_folder(context)}/checkpoints", "").remove_all()
    return Sealed(sorted(rows, key=lambda row: (row.step, row.name)), made["counts"], details=details)


def _train(context: StageContext, item: WorkItem) -> Aligned:
    from spavl.learning.trainer import Hooks
    from spavl.training.dpo import Source, train_dpo

    section, rows = context.config.training, context.rows("dataset")
    base = transformers_base(section.base)
    revision = context.revision(base.name)
    checkpoints = Checkpoints(context.store, f"{_folder(context)}/checkpoints", _fingerprint(item))
    images = _fetch_images(context, [row for row in rows if row.split in ("train", "validation")])
    with stop_on_sigterm() as stop_asked:
        return train_dpo(
            pairs_of(rows, "train", images),
            pairs_of(rows, "validation", images),
            Source(base_folder(base, revision), revision, context.store),
            section,
            context.scratch,
            checkpoints.fetch_newest(context.scratch / "resumed"),
            Hooks(checkpoints.save, context.progress, stop_asked),
            num_threads=context.config.launch.num_threads,
        )


def _fingerprint(item: WorkItem) -> str:
    # another version of a package may read a checkpoint differently without saying so
    return stable_hash(item.id, {name: metadata.version(name) for name in _PACKAGES})


def _fetch_images(context: StageContext, rows: list[DatasetRow]) -> dict[str, Path]:
    """Image id to a local file with its bytes; a file is read when its pair is due, so few are in memory."""
    folder = context.scratch / "images"
    folder.mkdir(exist_ok=True)
    paths = {row.image_id: folder / row.image_id for row in rows}
    for image_id, path in paths.items():
        path.write_bytes(context.store.get_blob(image_id))
    return paths


def _leave_in_store(context: StageContext, folders: dict[str, Path | None], aligned: Aligned) -> None:
    """Upload what was made; the manifest comes last and makes it whole."""
    uploaded: dict[str, Any] = {}
    for name, local in folders.items():
        if local is not None:
            path = f"{_folder(context)}/{name}"
            uploaded[name] = {"path": path, "files": context.store.upload(local, path)}
    made = {"folders": uploaded, "counts": aligned.counts, "details": aligned.details}
    content = json.dumps(made, indent=1, sort_keys=True)
    context.store.write(_manifest_path(context), content.encode())


def _read_left_in_store(context: StageContext) -> dict[str, Any]:
    try:
        made = json.loads(context.store.read(_manifest_path(context)))
    except FileNotFoundError:
        raise UserError(
            f"training of run {context.run_id} left no model in the store.", next_step="Start a new run."
        ) from None
    for folder in made["folders"].values():
        for name, entry in folder["files"].items():
            _check_file(context, f"{folder['path']}/{name}", entry["sha256"])
    return made


def _check_file(context: StageContext, path: str, sha256: str) -> None:
    try:
        seen = context.store.sha256_of(path)
    except FileNotFoundError:
        seen = "missing"
    if seen != sha256:
        raise UserError(
            f"{context.store.url_of(path)} is damaged: its sha256 is {seen}, recorded is {sha256}.",
            next_step="Start a new run.",
        )


def _folder(context: StageContext) -> str:
    return stage_folder(context.run_id, "training")


def _manifest_path(context: StageContext) -> str:
    return f"{_folder(context)}/model_manifest.json"
