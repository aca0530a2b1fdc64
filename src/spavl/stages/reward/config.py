"""The section `reward` of the config."""

from __future__ import annotations

from pydantic import Field

from spavl.config.learning import LearningConfig
from spavl.config.models import ModelSpec


class RewardConfig(LearningConfig):
    """The reward model that PPO follows; not trained for other methods."""

    base: ModelSpec | None = Field(
        None, description="The model to start from; unset starts from training.base."
    )
    learning_rate: float = Field(3e-5, gt=0, le=1e30, description="Peak rate (SPA-VL: 3e-5).")
    global_batch_size: int = Field(32, ge=1, description="Pairs per optimizer step (SPA-VL: 32).")
    margin_weight: float = Field(
        0.0,
        ge=0,
        description="Reward by which a pair with the judge's margin 1 must differ; 0 is Bradley-Terry.",
    )
    centering_weight: float = Field(
        0.0, ge=0, description="Weight of (chosen + rejected) squared: keeps rewards around 0."
    )
    with_cost: bool = Field(
        False, description="Give the model a second output, the cost, learnt from the judge's safety labels."
    )
    cost_weight: float = Field(1.0, ge=0, description="Weight of the cost's cross-entropy in the loss.")
