"""What an answer is worth: a reward model's score, less its cost, less a penalty for an answer that does not end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from spavl.errors import UserError
from spavl.learning.cache_keys import processor_fingerprint
from spavl.learning.pictures import Pictures
from spavl.learning.reward_model import RewardModel
from spavl.stages.training.ppo.policy import AnswerBatch
from spavl.stages.training.ppo.sampling import Answer

if TYPE_CHECKING:
    import torch


class Scorer(Protocol):
    """Scores answers; the same score for an answer whatever shares its batch."""

    outputs: tuple[str, ...]  # ("reward",) or ("reward", "cost")

    def scores(self, batch: AnswerBatch, answers: Sequence[Answer]) -> torch.Tensor:
        """Scores [N, outputs] float32; the batch is on the policy's device and holds prompts and answers as tokens."""
        ...


@dataclass(frozen=True)
class ByRewardModel:
    """The scores of a loaded reward model, which must read the policy's tokens (`check_same_reading`)."""

    reward_model: RewardModel
    pictures: Pictures  # of the reward model: its own tower reads the images

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.reward_model.outputs

    def scores(self, batch: AnswerBatch, answers: Sequence[Answer]) -> torch.Tensor:
        model = self.reward_model.model
        device = next(model.parameters()).device
        own = self.pictures.attach(replace(batch, image_inputs={})).to(device)
        return self.reward_model.scores(own.forward, self.pictures.arguments(model, own), len(answers))


def check_same_reading(policy: Any, reward: Any) -> None:
    """Raise UserError unless both processors turn the same chat and image into the same tokens and pixels."""
    differing = [
        what
        for what, of in (
            ("vocabulary", lambda processor: processor.tokenizer.get_vocab()),
            ("chat template", lambda processor: processor.chat_template),
            ("image processor", processor_fingerprint),
        )
        if of(policy) != of(reward)
    ]
    if differing:
        raise UserError(
            f"the reward model reads otherwise than the policy: {' and '.join(differing)} differ.",
            next_step="Train the reward model from the base model that is aligned.",
        )
