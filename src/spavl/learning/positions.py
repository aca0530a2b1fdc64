"""Positions of a prompt's tokens, as the model itself would count them.

Most models count 0, 1, 2, …; with multimodal rotary embeddings (M-RoPE, arXiv 2409.12191) an image's tokens take their
row and column, and the text after it goes on from the larger of the two. The model's own `get_rope_index` says so.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from spavl.learning.wrapping import unwrapped

if TYPE_CHECKING:
    import numpy as np
    import torch


def prompt_positions(model: Any, prompt_ids: Any, image_grid_thw: torch.Tensor | None = None) -> np.ndarray:
    """Positions [P, tokens] int64 of one prompt: P = 1, or 3 with M-RoPE, which needs its images' grids [images, 3].

    `model` may be wrapped (PEFT, DDP). Raises ValueError where it counts positions in a way not known here.
    """
    import numpy as np
    import torch

    counting = _counting_module(model)
    if counting is None:
        return np.arange(len(prompt_ids), dtype=np.int64)[None]
    if image_grid_thw is None:
        raise ValueError(f"{type(counting).__name__} counts positions by image grids, and none was given")
    ids = torch.as_tensor(prompt_ids, dtype=torch.int64)[None]
    is_image = (ids == counting.config.image_token_id).int()
    positions, _ = counting.get_rope_index(
        ids, mm_token_type_ids=is_image, image_grid_thw=image_grid_thw.cpu()
    )
    return positions[:, 0].numpy()


def with_answer(positions: np.ndarray, num_tokens: int) -> np.ndarray:
    """Positions [P, prompt + num_tokens]: text goes on by one a token from the largest position of the prompt."""
    import numpy as np

    after = positions.max() + 1 + np.arange(num_tokens)
    return np.concatenate([positions, np.tile(after, (len(positions), 1))], axis=1)


def _counting_module(model: Any) -> Any:
    """The model without its head where it has `get_rope_index`, or None where positions are 0, 1, 2, …"""
    inner = unwrapped(model).base_model
    count = getattr(type(inner), "get_rope_index", None)
    if count is None:
        return None
    if not {"input_ids", "mm_token_type_ids", "image_grid_thw"} <= inspect.signature(count).parameters.keys():
        raise ValueError(f"{type(inner).__name__} counts positions in an unknown way")
    return inner
