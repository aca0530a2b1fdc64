"""What the sections of the stages that train a model have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spavl.config.base import Section, StageSection
from spavl.config.models import ModelSpec


class LoraConfig(Section):
    r: int = Field(16, ge=1, description="Rank.")
    alpha: int = Field(32, ge=1, description="Scale numerator.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


class LearningConfig(StageSection):
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
