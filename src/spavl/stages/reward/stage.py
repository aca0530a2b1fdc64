"""Reward: one work item, which is a whole training of a reward model. `work` keeps checkpoints and leaves the model in the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spavl.artifacts.record import stage_folder
from spavl.config import ModelSpec
from spavl.errors import UserError
from spavl.learning.attempt import attempt, package_versions
from spavl.learning.base_model import base_folder, transformers_base
from spavl.learning.checkpoints import Checkpoints
from spavl.learning.leaving import fetch_images, leave_in_store, read_left_in_store
from spavl.learning.pairs import pairs_of
from spavl.records import stable_hash
from spavl.stage import Answered, Chunk, Sealed, StageContext, WorkItem
from spavl.stages.training.rows import TrainingMetric
from spavl.version_rows import has_train_pairs, rows_of_splits

if TYPE_CHECKING:
    from spavl.stages.reward.training import Rewarding

PART = TrainingMetric


def prepare(context: StageContext) -> list[WorkItem]:
    """The one run: dataset version, settings and base model decide it."""
    base = transformers_base(_base(context))
    if not has_train_pairs(context):
        raise UserError("the dataset version has 0 train pairs.", next_step="Choose another dataset version.")
    recipe = context.config.reward.model_dump(mode="json", exclude={"base"})
    identity = stable_hash(context.record("dataset").fingerprint, recipe, context.revision(base.name))
    return [WorkItem(identity, "reward")]


def work(context: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[TrainingMetric]:
    """Train, from the newest checkpoint where there is one; raises TryAgain after SIGTERM, its checkpoint saved.

    Every rank calls it; rank 0 leaves the model in the store and has the rows, once all ranks are done.
    """
    (item,) = [item for chunk in chunks for item in chunk.items]
    made = _train(context, item)
    if made.model is None:
        return  # another rank than 0
    details = {**made.details, "packages": package_versions()}
    leave_in_store(context.store, _folder(context), {"model": made.model}, made.counts, details)
    yield from made.rows


def seal(context: StageContext, answered: Answered) -> Sealed:
    """The metric history, and where the reward model lies; raises UserError where the store has lost some of it."""
    made = read_left_in_store(context.store, _folder(context))
    section, base = context.config.reward, transformers_base(_base(context))
    details = {
        "folders": made["folders"],
        "base": {"name": base.name, "path": base.path, "revision": context.revision(base.name)},
        "adaptation": "lora" if section.lora else "full",
        **made["details"],
    }
    Checkpoints(context.store, f"{_folder(context)}/checkpoints", {}).remove_all()
    return Sealed(
        sorted(answered.rows(), key=lambda row: (row.step, row.name)), made["counts"], details=details
    )


def _train(context: StageContext, item: WorkItem) -> Rewarding:
    from spavl.stages.reward.training import train_reward

    rows, base = rows_of_splits(context, "train", "validation"), transformers_base(_base(context))
    section = context.config.reward.model_copy(update={"base": base})
    images = fetch_images(context.store, rows, context.scratch / "images")
    revision = context.revision(base.name)
    with attempt(context, _folder(context), item.id, section) as this:
        return train_reward(
            pairs_of(rows, "train", images),
            pairs_of(rows, "validation", images),
            base_folder(base, revision),
            revision,
            section,
            context.scratch,
            this.resume_from,
            this.hooks,
            num_threads=context.config.launch.num_threads,
        )


def _base(context: StageContext) -> ModelSpec | None:
    return context.config.reward.base or context.config.training.base


def _folder(context: StageContext) -> str:
    return stage_folder(context.run_id, "reward")
