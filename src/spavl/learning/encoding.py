"""Pairs as token ids, exactly as the processor makes them, without decoding an image.

Cutting a pair would cut into its image tokens or drop its stop token, so a pair that is too long is left out and counted.
An image's size alone decides how many tokens it takes, so its placeholder is expanded once for each size that occurs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.learning.pairs import Pair
from spavl.learning.positions import prompt_positions
from spavl.learning.rendering import RenderedPair, StopTokens, has_special_token, render_pair
from spavl.learning.steps import EncodedPair

if TYPE_CHECKING:
    import numpy as np
    import torch

IMAGE_INPUTS = ("pixel_values", "image_grid_thw", "pixel_attention_mask", "image_sizes")
_COMPARED = 2  # prompts of each image size whose expansion is compared with the processor's own


def usable_pairs(
    pairs: Sequence[Pair], encoder: PairEncoder, stop: StopTokens, limit: int
) -> tuple[list[EncodedPair], dict[str, int]]:
    """The pairs that can be trained, encoded, and how many cannot and why."""
    plain = [pair for pair in pairs if not has_special_token(pair, encoder.processor)]
    encoded = [encoder.encode(pair, render_pair(pair, encoder.processor, stop)) for pair in plain]
    usable = [pair for pair in encoded if pair.num_tokens <= limit]
    counts = {
        "pairs": len(usable),
        "over_length": len(encoded) - len(usable),
        "with_special_token": len(pairs) - len(plain),
    }
    return usable, counts


def longest_allowed(max_length: int, model_config: Any) -> int:
    """The configured limit, or the model's own where that is lower."""
    positions = getattr(model_config.get_text_config(), "max_position_embeddings", None)
    return min(max_length, positions) if positions else max_length


def image_inputs(processor: Any, prompt: str, image: Any) -> dict[str, torch.Tensor]:
    """The model's image arguments for one PIL image, by the processor."""
    read = processor(images=[[image]], text=[prompt], return_tensors="pt", add_special_tokens=False)
    return {name: read[name] for name in IMAGE_INPUTS if name in read}


class PairEncoder:
    """Encodes pairs for one model and its processor."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.processor = processor
        self._model = model
        self._image_token_id = model.config.image_token_id
        self._expansions: dict[tuple[int, int], tuple[list[int], Mapping[str, torch.Tensor], int]] = {}

    def encode(self, pair: Pair, rendered: RenderedPair) -> EncodedPair:
        """The pair as token ids; raises UserError where the file of its image cannot be read."""
        import numpy as np

        size_px = _size_px(pair)
        try:
            prompt_ids, inputs = self._prompt(rendered.prompt, size_px)
        except ValueError as error:  # Qwen's processors refuse sides of more than 200 : 1
            raise UserError(
                f"the image {pair.image_id} of pair {pair.id}, {size_px[0]} x {size_px[1]} px, is not accepted by the base "
                f"model's processor: {error}.",
                next_step="Choose a dataset version without it, or another base model.",
            ) from None
        return EncodedPair(
            id=pair.id,
            image=pair.image_id,
            prompt_ids=np.asarray(prompt_ids, dtype=np.int32),
            prompt_positions=self._positions(prompt_ids, inputs),
            chosen_ids=self._answer(rendered.chosen),
            rejected_ids=self._answer(rendered.rejected),
            margin=pair.margin,
            class1=pair.class1,
            chosen_is_unsafe=pair.chosen_is_unsafe,
            rejected_is_unsafe=pair.rejected_is_unsafe,
        )

    def _prompt(self, prompt: str, size_px: tuple[int, int]) -> tuple[list[int], Mapping[str, torch.Tensor]]:
        """Ids of the prompt with its image tokens, and image arguments of that size (of a blank image)."""
        short = self._ids(prompt)
        known = self._expansions.get(size_px)
        if known is None or known[2] < _COMPARED:
            whole, inputs = self._by_processor(prompt, size_px)
            expansion = _expansion(short, whole, self._image_token_id)
            is_same = known is None or known[0] == expansion
            if expansion is None or not is_same:
                return (
                    whole,
                    inputs,
                )  # this processor expands by more than the size: it is asked for every prompt
            self._expansions[size_px] = (expansion, inputs, 1 if known is None else known[2] + 1)
            return whole, inputs
        expansion, inputs, _ = known
        place = short.index(self._image_token_id)
        return [*short[:place], *expansion, *short[place + 1 :]], inputs

    def _by_processor(
        self, prompt: str, size_px: tuple[int, int]
    ) -> tuple[list[int], dict[str, torch.Tensor]]:
        from PIL import Image

        read = self.processor(
            images=[[Image.new("RGB", size_px)]], text=[prompt], return_tensors="pt", add_special_tokens=False
        )
        return read["input_ids"][0].tolist(), {name: read[name] for name in IMAGE_INPUTS if name in read}

    def _positions(self, prompt_ids: Sequence[int], inputs: Mapping[str, torch.Tensor]) -> np.ndarray | None:
        import numpy as np

        positions = prompt_positions(self._model, prompt_ids, inputs.get("image_grid_thw"))
        return None if len(positions) == 1 else positions.astype(np.int32)

    def _answer(self, text: str) -> np.ndarray:
        import numpy as np

        return np.asarray(self._ids(text), dtype=np.int32)

    def _ids(self, text: str) -> list[int]:
        return self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]


def _expansion(short: Sequence[int], whole: Sequence[int], image_token_id: int) -> list[int] | None:
    """What the processor put in the place of the one image token of `short`; None where there is no such place."""
    if list(short).count(image_token_id) != 1:
        return None
    place = list(short).index(image_token_id)
    after = len(short) - place - 1
    middle = list(whole[place : len(whole) - after])
    return middle if [*short[:place], *middle, *short[place + 1 :]] == list(whole) else None


def _size_px(pair: Pair) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(pair.image) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"the image {pair.image_id} of pair {pair.id} cannot be read: {type(error).__name__}.",
            next_step="Was the store damaged? Start a new run of refresh_preferences.",
        ) from None
