"""The models of a benchmark: base and aligned, as the evaluation opens them, and the judge."""

from __future__ import annotations

from spavl.config import ModelSpec, TransformersModel
from spavl.errors import UserError
from spavl.records import stable_hash
from spavl.stage import StageContext

BASE, ALIGNED, CHANGE = "base", "aligned", "change"
ROLES = (BASE, ALIGNED)


def model_revision(context: StageContext, role: str) -> str:
    """The pinned revision of the base; for the aligned model a hash of its files, so equal weights give equal ids."""
    if role == BASE:
        return context.revision(_base(context).name)
    return stable_hash({path: entry["sha256"] for path, entry in _aligned_folder(context)["files"].items()})


def model_spec(context: StageContext, role: str) -> TransformersModel:
    """What to open. The aligned model, fetched into `scratch`, runs as the base does: only the weights differ."""
    spec = _base(context).model_copy(update={"batch_size": context.config.benchmarks.batch_size})
    if role == BASE:
        return spec
    folder = _aligned_folder(context)
    path = context.store.download(folder["path"], context.scratch / ALIGNED, folder["files"])
    return spec.model_copy(update={"name": ALIGNED, "path": str(path), "revision": None})


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


def _aligned_folder(context: StageContext) -> dict:
    record = context.record("training")
    if "model" not in record.folders:
        raise UserError(
            f"training of run {record.run_id} has the folders {sorted(record.folders)} and no 'model'.",
            next_step="Start a new run of align_model.",
        )
    return record.folders["model"]
