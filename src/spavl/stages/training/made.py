"""What goes into a training, and what comes out; the same for every method."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spavl.artifacts.store import Store
from spavl.inference.files import NOTHING, Allowed
from spavl.stages.training.rows import TrainingMetric


@dataclass(frozen=True)
class Source:
    """Where the base comes from, and where its reference log-probabilities are kept."""

    base: Path  # folder with the base's files
    revision: str
    store: Store
    reward: Path | None = None  # folder of the reward model, for PPO
    reward_allowed: Allowed = NOTHING  # what the reward model's base may load
    reward_is_of_base: bool = True  # trained from this very base: its frozen tower gives the same features


@dataclass(frozen=True)
class Aligned:
    """What a training run made; folders on rank 0 only."""

    model: Path | None  # whole model and processor, adapters merged
    adapter: Path | None  # the adapter alone, with LoRA
    rows: list[TrainingMetric]
    counts: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    tensorboard: Path | None = None  # event files, where training.report_to names tensorboard
