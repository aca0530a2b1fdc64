"""The policy: a model with values, what it says about given answers, and the reference it is held to.

Values come from a head on the policy's own trunk, or from a critic (`critic.py`), a second model of the same size in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.inference.files import NOTHING, Allowed
from spavl.learning import base_model
from spavl.learning.heads import HEAD, add_head, text_arguments
from spavl.learning.pictures import Pictures
from spavl.learning.scoring import add_scoring
from spavl.learning.tree import NO_ANSWER, Forward, PlainSequence, plain_forward
from spavl.learning.wrapping import unwrapped, whole_weights
from spavl.stages.training.ppo.critic import critic_arguments

if TYPE_CHECKING:
    import torch


@dataclass
class AnswerBatch:
    """Answers ready for the model, in any layout; N answers of at most T tokens."""

    forward: Forward
    places: torch.Tensor  # [N, T] int64: place (row * L + position) that predicts a token; 0 off the mask
    mask: torch.Tensor  # [N, T] bool: True on an answer's tokens
    image_inputs: dict[str, Any] = field(default_factory=dict)  # empty where features are kept

    def to(self, device: Any) -> AnswerBatch:
        """The same with its tensors on `device`."""
        images = {name: value.to(device, non_blocking=True) for name, value in self.image_inputs.items()}
        return AnswerBatch(self.forward.to(device), self.places.to(device), self.mask.to(device), images)


def add_value_head(model: Any) -> None:
    """Make a model that returns log-probabilities (`add_scoring`), in its PEFT wrapper where it has one, return values too."""
    add_head(unwrapped(model), 1)


def frozen_reference(
    folder: Path, dtype: str, attention: str, device: Any, allowed: Allowed = NOTHING
) -> Any:
    """A frozen copy of the base, whole on every rank: the reference of a policy without adapters."""
    with whole_weights():
        model = base_model.load_model(folder, dtype, attention, allowed)
    add_scoring(model)
    return model.to(device).eval().requires_grad_(False)


def batch_of(sequences: Sequence[PlainSequence], images: Sequence[str], pad_id: int) -> AnswerBatch:
    """The answers one by one, sequence n as answer n, padded on the right."""
    numbered = [replace(sequence, answer=number) for number, sequence in enumerate(sequences)]
    return as_batch(plain_forward(numbered, pad_id, images), len(numbered))


def as_batch(forward: Forward, num_answers: int) -> AnswerBatch:
    """The answers 0, 1, … of a forward on the CPU."""
    import torch

    of_places = forward.answers.flatten()
    scored = (of_places != NO_ANSWER).nonzero()[:, 0]
    by_answer = scored[torch.argsort(of_places[scored], stable=True)]
    lengths = torch.bincount(of_places[scored], minlength=num_answers)
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    places = torch.zeros(mask.shape, dtype=torch.int64).masked_scatter(mask, by_answer)
    return AnswerBatch(forward, places, mask)


def read_policy(
    model: Any, batch: AnswerBatch, pictures: Pictures, of_critic: Pictures | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities in nats and values, both [N, T] float32 and 0 off the mask, from one call of the wrapped model.

    `of_critic` are the pictures of a critic, where values come from one.
    """
    for_critic = {} if of_critic is None else critic_arguments(model, batch, of_critic)
    per_place, values = model(
        **text_arguments(model, batch.forward),
        **pictures.arguments(model, batch),
        shift_labels=batch.forward.shift_labels,
        scored=True,
        head_at=batch.places,
        **for_critic,
    )
    return _at(per_place, batch), values[..., 0].masked_fill(~batch.mask, 0.0)


def read_reference(model: Any, frozen: Any, batch: AnswerBatch, pictures: Pictures) -> torch.Tensor:
    """The reference's log-probabilities [N, T]: the adapters switched off, or a frozen copy where there are none."""
    with reference_of(model, frozen) as reference:
        per_place = reference(
            **text_arguments(reference, batch.forward),
            **pictures.arguments(reference, batch),
            shift_labels=batch.forward.shift_labels,
            scored=True,
        )
    return _at(per_place, batch)


def check_reference(model: Any, frozen: Any) -> None:
    """Raise UserError unless a reference can be read: adapters that hold all that is learnt, or a frozen copy."""
    if frozen is not None:
        return
    if _adapted(model) is None:
        raise UserError(
            "PPO that trains the whole model needs a frozen copy of it as its reference, and there is none.",
            next_step="Set training.lora, whose adapters are switched off for the reference, or give the copy.",
        )
    others = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and "lora_" not in name and HEAD not in name
    ]
    if others:
        raise UserError(
            f"{len(others)} weights outside the adapters are trained ({others[0]} is one), so that switching the adapters "
            "off does not give the reference.",
            next_step="Put adapters on all that is trained.",
        )


def check_dropout(model: Any) -> None:
    """Raise UserError where dropout is on: the first ratio of every token would not be 1."""
    import torch

    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    if max(rates, default=0.0) > 0.0:
        raise UserError(
            f"PPO compares a policy with itself, and its dropout is {max(rates)}; allowed is 0.",
            next_step="Set training.lora.dropout to 0.",
        )


def _at(per_place: torch.Tensor, batch: AnswerBatch) -> torch.Tensor:
    return per_place.flatten()[batch.places].masked_fill(~batch.mask, 0.0)


@contextlib.contextmanager
def reference_of(model: Any, frozen: Any) -> Iterator[Any]:
    """The reference: the model with its adapters switched off, or a frozen copy where there are none."""
    if frozen is not None:
        yield frozen
        return
    with _adapted(model).disable_adapter():
        yield model


def _adapted(model: Any) -> Any:
    """The PEFT model in a wrapped one, or None."""
    while not hasattr(model, "disable_adapter"):
        if not hasattr(model, "module"):
            return None
        model = model.module
    return model
