"""A critic of its own, as SPA-VL has one: a second model, which begins as the reward model and learns the value of each token.

It is a submodule of the policy's transformers model and is read in that model's own forward, as a head is (`learning/heads.py`):
so one call reads both, and DDP, ZeRO, the optimizer and checkpoints know it without being told. Nothing is shared with the policy;
its vision tower is frozen, too. It is trained as the policy is, in full or by adapters, at the same rate.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.config import LearningConfig
from spavl.inference.files import NOTHING, Allowed
from spavl.learning.base_model import part_of, switch_off_dropout
from spavl.learning.heads import HEAD, head_of
from spavl.learning.pictures import Pictures
from spavl.learning.preparing import with_adapters
from spavl.learning.reward_model import COST, load_reward_model
from spavl.learning.wrapping import unwrapped

if TYPE_CHECKING:
    from spavl.stages.training.ppo.policy import AnswerBatch

CRITIC = "critic"  # name of the submodule


def load_critic(
    folder: Path, dtype: str, settings: LearningConfig, cost_weight: float, allowed: Allowed = NOTHING
) -> Any:
    """The reward model in `folder` made trainable: a token's value begins as the score of an answer that ends there."""
    import torch

    loaded = load_reward_model(folder, dtype, allowed=allowed)
    model = loaded.model
    switch_off_dropout(model)
    head, mix = head_of(model), [-cost_weight if name == COST else 1.0 for name in loaded.outputs]
    for name, parameter in list(head.named_parameters()):
        weights = torch.tensor([mix]) @ parameter.reshape(len(mix), -1)
        setattr(head, name, torch.nn.Parameter(weights.reshape(1, *parameter.shape[1:])))
    adapted = with_adapters(model, settings)
    for name, parameter in model.named_parameters():
        # lm_head stays frozen: nothing reads it, and DDP waits for the gradient of every trained weight
        is_trained = HEAD in name or (not settings.lora and part_of(name) in ("language", "projector"))
        parameter.requires_grad_(is_trained or parameter.requires_grad)
    return adapted


def add_critic(model: Any, critic: Any) -> None:
    """Make a policy that returns log-probabilities (`add_scoring`), in its PEFT wrapper where it has one, return a critic's values.

    `model(<tokens>, scored=True, shift_labels=…, head_at=places, critic_images=…, <image inputs>)` gives (log-probs [B, L],
    values [*places, 1]); any other call is as before.
    """
    base = unwrapped(model)
    setattr(base, CRITIC, critic)
    plain = base.forward

    # the signature is kept: `generate` validates its arguments against it
    @functools.wraps(type(base).forward)
    def forward(self: Any, *args: Any, head_at: Any = None, critic_images: Any = None, **inputs: Any) -> Any:
        if head_at is None:
            return plain(*args, **inputs)
        tokens = {name: inputs[name] for name in ("input_ids", "attention_mask", "position_ids")}
        values = getattr(self, CRITIC)(**tokens, **critic_images, head_at=head_at)
        return plain(*args, **inputs), values

    base.forward = types.MethodType(forward, base)


def critic_arguments(model: Any, batch: AnswerBatch, pictures: Pictures) -> dict[str, Any]:
    """What a policy with a critic reads besides its own arguments: the images as the critic's projector and tower read them."""
    own = pictures.attach(replace(batch, image_inputs={})).to(batch.mask.device)
    return {"critic_images": pictures.arguments(getattr(unwrapped(model), CRITIC), own)}


def without_critic(model: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """Trained weights by name, the critic's left out, and the critic taken from the model: what is saved is the policy."""
    base = unwrapped(model)
    if hasattr(base, CRITIC):
        delattr(base, CRITIC)
    return {name: value for name, value in state.items() if CRITIC not in name.split(".")}
