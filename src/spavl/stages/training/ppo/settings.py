"""The settings of PPO, with SPA-VL's numbers (arXiv 2406.12030) where the paper gives them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PpoSettings:
    """How much is sampled, how it is trained on, and what is rewarded."""

    num_epochs: float = 1.0  # passes over the prompts
    prompts_per_iteration: int = 64  # answers sampled at a time, on all ranks together
    passes_per_iteration: int = 1  # times that every answer is trained on
    minibatch_size: int = 16  # answers per optimizer step, on all ranks together
    micro_batch_size: int = 4  # answers per forward; changes no number
    sampling_batch_size: int = 16  # answers sampled at once on a rank; changes no number
    max_new_tokens: int = 256
    gamma: float = 1.0  # discount
    lam: float = 1.0  # of generalized advantage estimation
    clip: float = 0.2  # of the ratio
    value_clip: float = 0.2  # of a value's change
    value_weight: float = 0.1  # of the value loss
    kl_coef: float = 0.1  # nats of KL to the reference per unit of reward
    kl_target: float | None = None  # nats per answer; None keeps the coefficient fixed
    cost_weight: float = 1.0  # of the reward model's cost, where it has one
    missing_eos_penalty: float = 0.0  # taken off the score of an answer without a stop token
    shifts_advantages: bool = True  # whitening also takes the mean off
    bf16: bool = False  # matrix products of sampling in bfloat16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.prompts_per_iteration % self.minibatch_size:
            raise ValueError(
                f"minibatch_size {self.minibatch_size} does not divide prompts_per_iteration {self.prompts_per_iteration}"
            )

    @property
    def steps_per_iteration(self) -> int:
        return self.passes_per_iteration * (self.prompts_per_iteration // self.minibatch_size)
