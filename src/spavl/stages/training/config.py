"""The section `training` of the config."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spavl.config.base import Section
from spavl.config.learning import LearningConfig


class PpoConfig(Section):
    """PPO's own settings (SPA-VL: KL 0.1 fixed, clip 0.2, gamma 1, lambda 1, value coefficient 0.1)."""

    prompts_per_iteration: int = Field(
        64, ge=1, description="Answers sampled at a time, on all ranks together."
    )
    passes_per_iteration: int = Field(1, ge=1, description="Times that every sampled answer is trained on.")
    minibatch_size: int = Field(
        16, ge=1, description="Answers per optimizer step, on all ranks; divides prompts_per_iteration."
    )
    micro_batch_size: int = Field(4, ge=1, description="Answers per forward; changes no number.")
    sampling_batch_size: int = Field(
        16, ge=1, description="Answers sampled at once on a rank; changes no number."
    )
    max_new_tokens: int = Field(256, ge=1, description="Longest sampled answer, in tokens.")
    gamma: float = Field(1.0, gt=0, le=1, description="Discount per token.")
    lam: float = Field(1.0, ge=0, le=1, description="Lambda of generalized advantage estimation.")
    clip: float = Field(0.2, gt=0, description="Clip of the probability ratio.")
    value_clip: float = Field(0.2, gt=0, description="Clip of a value's change.")
    value_weight: float = Field(0.1, ge=0, description="Weight of the value loss.")
    critic: Literal["shared", "separate"] = Field(
        "shared",
        description="Values from a head on the policy, or from a second model that begins as the reward model (SPA-VL's way) and "
        "takes as much memory as the policy.",
    )
    kl_coef: float = Field(0.1, ge=0, description="Reward taken off per nat of KL to the base.")
    kl_target: float | None = Field(
        None,
        gt=0,
        description="Nats per answer that an adaptive coefficient aims at, from kl_coef on; unset keeps it fixed.",
    )
    cost_weight: float = Field(
        1.0, ge=0, description="Weight of the reward model's cost, where it has one: reward - this x cost."
    )
    missing_eos_penalty: float = Field(
        0.0, ge=0, description="Taken off the score of an answer that was cut at max_new_tokens."
    )
    shifts_advantages: bool = Field(True, description="Whitening also takes the advantages' mean off.")
    max_kl: float | None = Field(None, gt=0, description="Nats per token; a step with more stops the run.")

    @model_validator(mode="after")
    def _target_has_a_start(self) -> PpoConfig:
        if self.kl_target is not None and not self.kl_coef:
            raise ValueError("kl_target adapts kl_coef by factors, which never leads away from kl_coef 0")
        return self

    @model_validator(mode="after")
    def _minibatch_divides(self) -> PpoConfig:
        if self.prompts_per_iteration % self.minibatch_size:
            raise ValueError(
                f"minibatch_size {self.minibatch_size} does not divide prompts_per_iteration {self.prompts_per_iteration}"
            )
        return self


class TrainingConfig(LearningConfig):
    method: Literal["dpo", "ppo"] = Field("dpo", description="How preferences become weights.")
    learning_rate: float = Field(
        1e-6, gt=0, le=1e30, description="Peak rate (SPA-VL: 1e-6 for DPO, 5e-7 for PPO)."
    )
    global_batch_size: int = Field(8, ge=1, description="DPO's pairs per optimizer step (SPA-VL: 8).")
    loss: Literal["sigmoid", "ipo", "margin_weight", "margin_beta"] = Field(
        "sigmoid",
        description="DPO's loss; margin_weight multiplies it by the judge's margin, margin_beta raises beta with it.",
    )
    beta: float = Field(0.1, gt=0, description="DPO temperature (SPA-VL: 0.1).")
    margin_scale: float = Field(
        0.5, ge=0, description="With margin_beta: beta of a pair is beta x (1 + this x its margin)."
    )
    sft_weight: float = Field(
        1.0, ge=0, description="Weight of DPO's SFT term on the chosen answer; 0 is plain DPO."
    )
    max_chosen_fall_nats: float | None = Field(
        None,
        gt=0,
        description="Chosen answers may become this much less likely than under the base (mean per answer in a step).",
    )
    ppo: PpoConfig = Field(default_factory=PpoConfig)

    @model_validator(mode="after")
    def _ppo_has_no_dropout(self) -> TrainingConfig:
        if self.method == "ppo" and self.lora and self.lora.dropout:
            raise ValueError(
                f"PPO needs lora.dropout 0, not {self.lora.dropout}: its ratios compare one policy with itself"
            )
        return self
