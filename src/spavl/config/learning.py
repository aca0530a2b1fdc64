"""The sections of the stages that train a model: `reward` and `training`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spavl.config.base import Section
from spavl.config.models import ModelSpec


class LoraConfig(Section):
    r: int = Field(16, ge=1, description="Rank.")
    alpha: int = Field(32, ge=1, description="Scale numerator.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


class LearningConfig(Section):
    """What every training of a vision-language model has; `reward` and `training` are both."""

    base: ModelSpec | None = Field(None, description="The model to start from; a transformers model.")
    lora: LoraConfig | None = Field(
        None, description="Adapter settings; unset trains projector and language model in full."
    )
    learning_rate: float = Field(1e-6, gt=0, le=1e30, description="Peak rate.")
    num_epochs: float = Field(1.0, gt=0, description="Passes over the pairs (PPO: over the prompts).")
    global_batch_size: int = Field(8, ge=1, description="Pairs per optimizer step, over all ranks.")
    group_by_image: bool = Field(
        True,
        description="Pairs of one image go into one step and share its reading; off shuffles pairs freely.",
    )
    share_prefix: bool = Field(
        True,
        description="Read an image and each question once for all of their answers, where that is exact.",
    )
    max_forward_tokens: int = Field(
        16_384, ge=1, description="Tokens of one forward, padding included: less memory, more forwards."
    )
    keep_features_gb: float = Field(
        2.0,
        ge=0,
        description="Room for the frozen vision tower's outputs, in GB per process; 0 encodes images every time.",
    )
    keep_features_on: Literal["memory", "disk"] = Field(
        "memory", description="Where they lie; disk is memory-mapped."
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        "sdpa", description="Attention implementation; flash_attention_2 cannot share the prefix."
    )
    zero_stage: Literal[0, 2, 3] = Field(
        0, description="DeepSpeed ZeRO: 2 splits gradients and optimizer over the ranks, 3 the weights too."
    )
    warmup_steps: int = Field(10, ge=0, description="Linear warm-up steps (SPA-VL: 10).")
    max_length: int = Field(
        2048,
        ge=1,
        description="Longest pair member in tokens, image tokens included; longer pairs are filtered and counted.",
    )
    bf16: bool = Field(False, description="Train in bfloat16.")
    activation_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass: less memory, about 20 % slower."
    )
    max_loss: float | None = Field(None, gt=0, description="A step with a larger loss stops the run.")
    checkpoint_every_steps: int = Field(
        50, ge=1, description="Steps between checkpoints: the most that a kill costs."
    )
    log_every_steps: int = Field(5, ge=1, description="Steps between logged metrics.")
    report_to: tuple[str, ...] = Field(
        (),
        description="Trackers that transformers knows (tensorboard, mlflow, wandb, …), beside the metric table.",
    )
    seed: int = Field(0, ge=0, description="Order of the pairs and the start of adapters and heads.")


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
    ppo: PpoConfig = PpoConfig()

    @model_validator(mode="after")
    def _ppo_has_no_dropout(self) -> TrainingConfig:
        if self.method == "ppo" and self.lora and self.lora.dropout:
            raise ValueError(
                f"PPO needs lora.dropout 0, not {self.lora.dropout}: its ratios compare one policy with itself"
            )
        return self
