"""Runs a trainer to the end of its steps, from a checkpoint where there is one, and gives back what it logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spavl.errors import TryAgain
from spavl.learning import trainer
from spavl.learning.limits import refuse_not_finite
from spavl.learning.metrics import evaluation_rows, training_rows
from spavl.learning.objective import Objective
from spavl.stages.training.rows import TrainingMetric


def train_to_end(running: Any, resume_from: Path | None, log_every_steps: int) -> list[TrainingMetric]:
    """The rows of all steps; raises TryAgain where training was asked to stop before its end."""
    running.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    if running.state.global_step < running.state.max_steps:
        raise TryAgain(
            f"training was asked to stop after step {running.state.global_step} of {running.state.max_steps}.",
            next_step="Run the same command again: it goes on from there.",
        )
    return training_rows(running.state.log_history, log_every_steps)


def evaluated(running: Any, objective: Objective, last: TrainingMetric) -> list[TrainingMetric]:
    """The rows of one pass over an objective's steps, `eval_` in front of each name; none where it has no step.

    Raises CheckFailed for a value that is no number: the last update has spoilt the model.
    """
    if not objective.num_steps:
        return []
    seen = {f"eval_{name}": value for name, value in trainer.evaluate(running, objective).items()}
    refuse_not_finite(seen)
    return evaluation_rows(seen, last.step, last.epoch)
