"""Images as the model reads them: the inputs of several images joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def join_image_inputs(inputs: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The model's image arguments for images in this order, from those of each image alone.

    Idefics3 and SmolVLM read [1, frames, 3, H, W] and match frames to tokens by their order alone, so all frames go
    into one row, whatever the number of rows of tokens; the others have their images or patches first.
    """
    import torch

    if not inputs:
        raise ValueError("every forward has an image")
    axis = 1 if inputs[0]["pixel_values"].ndim == 5 else 0
    return {name: torch.cat([of_one[name] for of_one in inputs], dim=axis) for name in inputs[0]}
