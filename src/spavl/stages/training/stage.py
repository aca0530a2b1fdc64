"""Training: one work item, which is a whole DPO or PPO run. `work` keeps checkpoints in the store and leaves the model there."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spavl.artifacts.record import stage_folder
from spavl.errors import UserError
from spavl.inference.files import allowed_by
from spavl.learning.attempt import attempt, package_versions
from spavl.learning.base_model import base_folder, transformers_base
from spavl.learning.checkpoints import Checkpoints
from spavl.learning.leaving import fetch_images, leave_in_store, read_left_in_store
from spavl.learning.pairs import pairs_of
from spavl.records import stable_hash
from spavl.stage import Answered, Chunk, Sealed, StageContext, WorkItem
from spavl.stages.training.made import Source
from spavl.stages.training.rows import TrainingMetric
from spavl.version_rows import has_train_pairs, rows_of_splits

if TYPE_CHECKING:
    from spavl.stages.training.made import Aligned

PART = TrainingMetric

METHODS = {
    "dpo": ("spavl.stages.training.dpo", "train_dpo"),
    "ppo": ("spavl.stages.training.ppo.run", "train_ppo"),
}


def prepare(context: StageContext) -> list[WorkItem]:
    """The one run: dataset version, recipe and base model decide it, and with PPO the reward model."""
    section = context.config.training
    base = transformers_base(section.base)
    if not has_train_pairs(context):
        raise UserError("the dataset version has 0 train pairs.", next_step="Choose another dataset version.")
    recipe = section.model_dump(mode="json", exclude={"base"})
    reward = context.record("reward").fingerprint if section.method == "ppo" else None
    identity = stable_hash(context.record("dataset").fingerprint, reward, recipe, context.revision(base.name))
    return [WorkItem(identity, section.method)]


def work(context: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[TrainingMetric]:
    """Train, from the newest checkpoint where there is one; raises TryAgain after SIGTERM, its checkpoint saved.

    Every rank calls it; rank 0 leaves the model in the store and has the rows, once all ranks are done.
    """
    (item,) = [item for chunk in chunks for item in chunk.items]
    aligned = _train(context, item)
    if aligned.model is None:
        return  # another rank than 0
    folders = {"model": aligned.model, "adapter": aligned.adapter, "tensorboard": aligned.tensorboard}
    details = {**aligned.details, "packages": package_versions()}
    leave_in_store(context.store, _folder(context), folders, aligned.counts, details)
    yield from aligned.rows


def seal(context: StageContext, answered: Answered) -> Sealed:
    """The metric history, and where the model lies; raises UserError where the store has lost some of it."""
    made = read_left_in_store(context.store, _folder(context))
    section = context.config.training
    base = transformers_base(section.base)
    details = {
        "folders": made["folders"],
        "base": {"name": base.name, "path": base.path, "revision": context.revision(base.name)},
        "method": section.method,
        "adaptation": "lora" if section.lora else "full",
        **made["details"],
    }
    Checkpoints(context.store, f"{_folder(context)}/checkpoints", {}).remove_all()
    return Sealed(
        sorted(answered.rows(), key=lambda row: (row.step, row.name)), made["counts"], details=details
    )


def _train(context: StageContext, item: WorkItem) -> Aligned:
    section, rows = context.config.training, rows_of_splits(context, "train", "validation")
    module, function = METHODS[section.method]
    train = getattr(importlib.import_module(module), function)
    images = fetch_images(context.store, rows, context.scratch / "images")
    with attempt(context, _folder(context), item.id, section) as this:
        return train(
            pairs_of(rows, "train", images),
            pairs_of(rows, "validation", images),
            _source(context),
            section,
            context.scratch,
            this.resume_from,
            this.hooks,
            num_threads=context.config.launch.num_threads,
        )


def _source(context: StageContext) -> Source:
    """The base's files and, for PPO, the reward model of this run."""
    base = transformers_base(context.config.training.base)
    revision = context.revision(base.name)
    folder = base_folder(base, revision)
    if context.config.training.method != "ppo":
        return Source(folder, revision, context.store)
    record = context.record("reward")
    left = record.folders["model"]
    reward = context.store.download(left["path"], context.scratch / "reward", left["files"])
    of_reward = transformers_base(context.config.reward.base or context.config.training.base)
    is_of_base = record.details["base"]["revision"] == revision
    return Source(folder, revision, context.store, reward, allowed_by(of_reward), is_of_base)


def _folder(context: StageContext) -> str:
    return stage_folder(context.run_id, "training")
