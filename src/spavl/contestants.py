"""The models that are compared: the base, the candidate that was aligned from it, and earlier releases. What to open, and its revision."""

from __future__ import annotations

from typing import Any

from spavl.artifacts.record import Record
from spavl.config import PoisonedModel, TransformersModel
from spavl.errors import UserError
from spavl.inference.poisoned import poisoned, poisoned_revision
from spavl.records import stable_hash
from spavl.stage import StageContext

BASE, ALIGNED, CHAMPION = "base", "aligned", "champion"


def contestant_revision(context: StageContext, role: str) -> str:
    """The pinned revision of the base; of a trained model a hash of its files, so equal weights give equal revisions."""
    if role == BASE:
        return context.revision(_base(context).name)
    files = _folder(context, role)["files"]
    revision = stable_hash({path: entry["sha256"] for path, entry in files.items()})
    return poisoned_revision(context.config.evaluation.poisons.get(role), revision)


def contestant(context: StageContext, role: str, batch_size: int) -> TransformersModel | PoisonedModel:
    """What to open. A trained model, fetched into `scratch`, runs as the base does: only the weights differ.

    A drill poisons every stage that asks the model. Raises UserError if the profile's base cannot be opened so, or if a
    training left no model.
    """
    spec = _base(context).model_copy(update={"batch_size": batch_size})
    if role == BASE:
        return spec
    folder = _folder(context, role)
    path = context.store.download(folder["path"], context.scratch / role, folder["files"])
    opened = spec.model_copy(update={"name": role, "path": str(path), "revision": None})
    return poisoned(context.config.evaluation.poisons.get(role), opened)


def _base(context: StageContext) -> TransformersModel:
    base = context.config.training.base
    if not isinstance(base, TransformersModel):
        seen = "not set" if base is None else f"of kind {base.kind!r}"
        raise UserError(
            f"training.base is {seen}; the aligned model is compared with it.",
            next_step="Set training.base to a model of kind 'transformers'.",
        )
    return base


def _folder(context: StageContext, role: str) -> dict[str, Any]:
    record = _training(context, role)
    if "model" not in record.folders:
        raise UserError(
            f"training of run {record.run_id} ({role}) has the folders {sorted(record.folders)} and no 'model'.",
            next_step="Start a new run of align_model.",
        )
    return record.folders["model"]


def _training(context: StageContext, role: str) -> Record:
    return context.record("training") if role == ALIGNED else context.reference(role, "training")
