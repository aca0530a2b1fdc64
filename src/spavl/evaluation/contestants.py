"""The two models of an evaluation, base and aligned: what to open, and the revision that names their weights in every id."""

from __future__ import annotations

from typing import Any

from spavl.config import PoisonedModel, TransformersModel
from spavl.errors import UserError
from spavl.evaluation.scoring import ALIGNED, BASE
from spavl.inference.poisoned import poisoned, poisoned_revision
from spavl.records import stable_hash
from spavl.stage import StageContext


def contestant_revision(context: StageContext, role: str) -> str:
    """The pinned revision of the base; for the aligned model a hash of its files, so equal weights give equal ids."""
    if role == BASE:
        return context.revision(_base(context).name)
    files = _aligned_folder(context)["files"]
    revision = stable_hash({path: entry["sha256"] for path, entry in files.items()})
    return poisoned_revision(context.config.evaluation.poisons.get(role), revision)


def contestant(context: StageContext, role: str) -> TransformersModel | PoisonedModel:
    """What to open. The aligned model, fetched into `scratch`, runs as the base does: only the weights differ."""
    spec = _base(context).model_copy(update={"batch_size": context.config.evaluation.batch_size})
    if role == BASE:
        return spec
    folder = _aligned_folder(context)
    path = context.store.download(folder["path"], context.scratch / ALIGNED, folder["files"])
    opened = spec.model_copy(update={"name": ALIGNED, "path": str(path), "revision": None})
    return poisoned(context.config.evaluation.poisons.get(role), opened)


def _base(context: StageContext) -> TransformersModel:
    base = context.config.training.base
    if not isinstance(base, TransformersModel):
        seen = "not set" if base is None else f"of kind {base.kind!r}"
        raise UserError(
            f"training.base is {seen}; evaluation compares the aligned model with it.",
            next_step="Set training.base to a model of kind 'transformers'.",
        )
    return base


def _aligned_folder(context: StageContext) -> dict[str, Any]:
    record = context.record("training")
    if "model" not in record.folders:
        raise UserError(
            f"training of run {record.run_id} has the folders {sorted(record.folders)} and no 'model'.",
            next_step="Start a new run of align_model.",
        )
    return record.folders["model"]
