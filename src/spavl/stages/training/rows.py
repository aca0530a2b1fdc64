"""The rows of every training: its metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingMetric:
    """One logged value of one training step."""

    id: str  # "<step>/<name>"
    step: int
    epoch: float
    name: str  # the trainer's own name: loss, rewards/margins, logps/chosen, learning_rate, …
    value: float
