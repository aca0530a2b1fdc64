"""Keys and values of a generation, in memory that is set aside once.

transformers' own cache joins old and new in fresh memory for every token and layer: with 600 image tokens that copies more than
the token itself reads. Here a token is written behind those before it, and attention reads the same numbers.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def cache_with_room(model: Any, num_tokens: int) -> Any:
    """An empty cache for a transformers model with room for `num_tokens` of each row.

    Layers that keep something else, a sliding window or a state, stay transformers' own.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer

    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    cache.layers = [
        _layer_class()(num_tokens) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


@functools.cache
def _layer_class() -> Any:
    """The layer's class; made on first use, since transformers is imported late."""
    from transformers.cache_utils import DynamicLayer

    class LayerWithRoom(DynamicLayer):
        """`keys` and `values` [B, heads, tokens, size] are views of the filled part of two larger tensors."""

        def __init__(self, num_tokens: int) -> None:
            super().__init__()
            self._num_tokens = num_tokens

        def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
            self.dtype, self.device = key_states.dtype, key_states.device
            self._rooms = tuple(
                of.new_empty(*of.shape[:2], self._num_tokens, of.shape[3])
                for of in (key_states, value_states)
            )
            self._show(0)
            self.is_initialized = True

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            start, num_new = self.keys.shape[2], key_states.shape[2]
            for room, new in zip(self._rooms, (key_states, value_states), strict=True):
                room.narrow(2, start, num_new).copy_(
                    new
                )  # a slice beyond the room would be empty, without complaint
            self._show(start + num_new)
            return self.keys, self.values

        def _show(self, num_tokens: int) -> None:
            self.keys, self.values = (room[:, :, :num_tokens] for room in self._rooms)

    return LayerWithRoom
