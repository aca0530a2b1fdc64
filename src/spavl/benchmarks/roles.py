"""The models of a benchmark: base, aligned and the release that the channel points to, and the judge."""

from __future__ import annotations

from typing import Any

from spavl.config import ModelSpec, PoisonedModel, TransformersModel
from spavl.errors import UserError
from spavl.inference.poisoned import poisoned, poisoned_revision
from spavl.records import stable_hash
from spavl.stage import StageContext

BASE, ALIGNED, CHAMPION = "base", "aligned", "champion"
CHANGES = {BASE: "change", CHAMPION: "change_from_champion"}  # compared with -> the name of the difference


def roles(context: StageContext) -> tuple[str, ...]:
    """Base and aligned, and the champion if the plan names one."""
    return (BASE, ALIGNED, CHAMPION) if CHAMPION in context.references else (BASE, ALIGNED)


def model_revision(context: StageContext, role: str) -> str:
    """The pinned revision of the base; of a trained model a hash of its files, so equal weights give equal ids."""
    if role == BASE:
        return context.revision(_base(context).name)
    files = _folder(context, role)["files"]
    revision = stable_hash({path: entry["sha256"] for path, entry in files.items()})
    return poisoned_revision(context.config.evaluation.poisons.get(role), revision)


def model_spec(context: StageContext, role: str) -> TransformersModel | PoisonedModel:
    """What to open. A trained model, fetched into `scratch`, runs as the base does: only the weights differ.

    A drill poisons what the evaluation asks, so it poisons what the benchmarks ask.
    """
    spec = _base(context).model_copy(update={"batch_size": context.config.benchmarks.batch_size})
    if role == BASE:
        return spec
    folder = _folder(context, role)
    path = context.store.download(folder["path"], context.scratch / role, folder["files"])
    opened = spec.model_copy(update={"name": role, "path": str(path), "revision": None})
    return poisoned(context.config.evaluation.poisons.get(role), opened)


def judge_spec(context: StageContext) -> ModelSpec:
    """`benchmarks.judge`, or the evaluation's; raises UserError if there is none."""
    judge = context.config.benchmarks.judge or context.config.evaluation.judge
    if judge is None:
        raise UserError(
            "neither benchmarks.judge nor evaluation.judge is set, so answers cannot be scored.",
            next_step="Name a judge in the profile; the judge of judgements.judge is the usual choice.",
        )
    return judge


def _base(context: StageContext) -> TransformersModel:
    base = context.config.training.base
    if not isinstance(base, TransformersModel):
        seen = "not set" if base is None else f"of kind {base.kind!r}"
        raise UserError(
            f"training.base is {seen}; benchmarks compare the aligned model with it.",
            next_step="Set training.base to a model of kind 'transformers'.",
        )
    return base


def _folder(context: StageContext, role: str) -> dict[str, Any]:
    record = context.record("training") if role == ALIGNED else context.reference(role, "training")
    if "model" not in record.folders:
        raise UserError(
            f"training of run {record.run_id} ({role}) has the folders {sorted(record.folders)} and no 'model'.",
            next_step="Start a new run of align_model.",
        )
    return record.folders["model"]
