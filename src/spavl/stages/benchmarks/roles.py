"""The models of a benchmark: base, aligned and the release that the channel points to, and the judge."""

from __future__ import annotations

from spavl.config import ModelSpec
from spavl.contestants import ALIGNED, BASE, CHAMPION
from spavl.errors import UserError
from spavl.stage import StageContext

CHANGES = {BASE: "change", CHAMPION: "change_from_champion"}  # compared with -> the name of the difference


def roles(context: StageContext) -> tuple[str, ...]:
    """Base and aligned, and the champion if the plan names one."""
    return (BASE, ALIGNED, CHAMPION) if CHAMPION in context.references else (BASE, ALIGNED)


def judge_spec(context: StageContext) -> ModelSpec:
    """`benchmarks.judge`, or the evaluation's; raises UserError if there is none."""
    judge = context.config.benchmarks.judge or context.config.evaluation.judge
    if judge is None:
        raise UserError(
            "neither benchmarks.judge nor evaluation.judge is set, so answers cannot be scored.",
            next_step="Name a judge in the profile; the judge of judgements.judge is the usual choice.",
        )
    return judge
