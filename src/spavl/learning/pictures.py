"""The images of a training run: pixels for each forward, or the frozen tower's output kept from the first time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.learning.encoding import image_inputs
from spavl.learning.feature_cache import FeatureCache
from spavl.learning.steps import PairForward
from spavl.learning.vision import Features, encoder_outputs, join_image_inputs, tower_features

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class KeptFeatures:
    """Where the tower's outputs are kept, and under which keys."""

    cache: FeatureCache
    keys: Mapping[str, str]  # image id -> key


class Pictures:
    """Image arguments for the model, by image id."""

    def __init__(
        self, processor: Any, prompt: str, files: Mapping[str, Path], kept: KeptFeatures | None = None
    ) -> None:
        self._processor = processor
        self._prompt = prompt  # any prompt with one image: processors read both together
        self._files = files
        self._kept = kept

    def attach(self, forward: PairForward) -> PairForward:
        """The forward with the pixels of its images; unchanged where features are kept. Needs no model."""
        if self._kept is None:
            forward.image_inputs = join_image_inputs(
                [self._inputs(image) for image in forward.forward.images]
            )
        return forward

    def arguments(self, model: Any, forward: PairForward) -> dict[str, Any]:
        """The model's image arguments for a forward that is on the model's device."""
        if self._kept is None:
            return forward.image_inputs
        return {"mm_encoder_outputs": encoder_outputs(model, self.features(model, forward.forward.images))}

    def features(self, model: Any, images: Sequence[str]) -> list[Features]:
        """The tower's outputs for these images, on the CPU; encoded now where they are not kept."""
        assert self._kept is not None
        return [
            self._kept.cache.get_or_make(
                self._kept.keys[image], lambda image=image: self._encode(model, image)
            )
            for image in images
        ]

    def _encode(self, model: Any, image: str) -> Features:
        device = next(model.parameters()).device
        inputs = {name: value.to(device) for name, value in self._inputs(image).items()}
        return {name: value.cpu() for name, value in tower_features(model, inputs).items()}

    def _inputs(self, image: str) -> dict[str, torch.Tensor]:
        from spavl.inference.pictures import decode

        try:
            picture = decode(self._files[image].read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(
                f"the image {image} cannot be read: {type(error).__name__}.",
                next_step="Was the store damaged? Start a new run of refresh_preferences.",
            ) from None
        return image_inputs(self._processor, self._prompt, picture)
