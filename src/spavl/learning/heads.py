"""A linear head on a model's last hidden states: the reward and the cost of an answer, the value of a token.

The head is a submodule of the transformers model and is read inside that model's own forward. So one call of the wrapped
model does everything: DDP and ZeRO see every parameter they gather or reduce, the trunk is read once where log-probabilities
and values are both wanted, `generate` still works, and a checkpoint of the trained parameters holds the head. A module
around the model would need all of that again. No [B, L, V] tensor is made.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spavl.learning.scoring import label_log_probs
from spavl.learning.tree import Forward, mask_for
from spavl.learning.wrapping import unwrapped

if TYPE_CHECKING:
    import torch

HEAD = "scalar_head"  # name of the submodule


def add_head(model: Any, num_outputs: int, seed: int | None = None) -> Any:
    """Give a transformers model (not its wrappers) a trained head, and return the head.

    `model(input_ids=…, attention_mask=…, position_ids=…, head_at=places, <image inputs>)` gives [*places, num_outputs]
    float32, for places (row * L + position) of any shape, int64; with `scored=True, shift_labels=…` as well it gives
    (log-probs [B, L], outputs). Any other call is as before. Add it after PEFT and after `add_scoring`: PEFT would freeze it.
    Without a seed the weights are zero, so that a head shared with a trained trunk begins without pulling at it.
    """
    head = _head_class()(model.config.get_text_config().hidden_size, num_outputs)
    if seed is not None:
        head.draw(seed)
    setattr(model, HEAD, head.to(next(model.parameters()).device))
    _patch(model)
    return head


def head_of(model: Any) -> Any:
    """The head of a model that may be wrapped; raises AttributeError where it has none."""
    return getattr(unwrapped(model), HEAD)


def without_head(state: Mapping[str, Any]) -> dict[str, Any]:
    """Trained weights by name, those of a head left out: a saved model has none, its architecture does not know it."""
    return {name: value for name, value in state.items() if HEAD not in name.split(".")}


def text_arguments(model: Any, forward: Forward) -> dict[str, Any]:
    """The model's arguments for the tokens of a forward in either layout."""
    base = unwrapped(model)
    attention = base.get_decoder().config._attn_implementation
    return {
        "input_ids": forward.input_ids,
        "attention_mask": mask_for(forward, attention, base.dtype),
        "position_ids": forward.position_ids,
    }


def _patch(model: Any) -> None:
    plain = model.forward

    # the signature is kept: `generate` validates its arguments against it
    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, head_at: Any = None, **inputs: Any) -> Any:
        if head_at is None:
            return plain(*args, **inputs)
        is_scored, labels = inputs.pop("scored", False), inputs.pop("shift_labels", None)
        if is_scored and labels is None:
            raise ValueError("scored=True needs shift_labels")
        # looked up in each call: PEFT and ZeRO replace submodules after the patch
        hidden = self.base_model(*args, **{**inputs, "use_cache": False}).last_hidden_state
        outputs = getattr(self, HEAD)(_at(hidden, head_at))
        return (label_log_probs(self, hidden, labels), outputs) if is_scored else outputs

    model.forward = types.MethodType(forward, model)


def _at(hidden: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Hidden states [*places, H] at flat places of [B, L, H]."""
    flat = hidden.flatten(0, 1).index_select(0, places.flatten().to(hidden.device))
    return flat.view(*places.shape, -1)


@functools.cache
def _head_class() -> Any:
    """The head's class; made on first use, since torch is imported late."""
    import torch

    class ScalarHead(torch.nn.Module):
        """hidden [..., H] -> [..., outputs] float32, computed in float32 whatever the precision around it."""

        def __init__(self, width: int, num_outputs: int) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(num_outputs, width))
            self.bias = torch.nn.Parameter(torch.zeros(num_outputs))

        def draw(self, seed: int) -> None:
            """Weights so small that outputs begin near 0 with a spread near 1 (as in arXiv 2009.01325)."""
            with torch.no_grad():
                deviation = 1 / math.sqrt(self.weight.shape[1] + 1)
                self.weight.normal_(0.0, deviation, generator=torch.Generator().manual_seed(seed))

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            # a reward of 7.25 and one of 7.28 are the same number in bfloat16
            with torch.autocast(hidden.device.type, enabled=False):
                return torch.nn.functional.linear(hidden.float(), self.weight.float(), self.bias.float())

    return ScalarHead
