"""How long a pair is in tokens, image tokens included, and which pairs are too long.

Cutting a pair would cut into its image tokens or drop its stop token, so a pair that is too long is left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spavl.training.rendering import RenderedPair


def pair_lengths(rendered: Sequence[RenderedPair], processor: Any) -> list[int]:
    """Tokens of each pair's longer member. Images are not decoded: only their size decides how many tokens they take."""
    tokens_of_size: dict[tuple[int, int], int] = {}
    lengths = []
    for pair in rendered:
        size = _image_size_px(pair)
        if size not in tokens_of_size:
            tokens_of_size[size] = _image_tokens(pair.prompt, size, processor)
        prompt = _num_tokens(pair.prompt, processor) + tokens_of_size[size]
        lengths.append(
            prompt + max(_num_tokens(pair.chosen, processor), _num_tokens(pair.rejected, processor))
        )
    return lengths


def longest_allowed(max_length: int, model_config: Any) -> int:
    """The configured limit, or the model's own where that is lower."""
    positions = getattr(model_config.get_text_config(), "max_position_embeddings", None)
    return min(max_length, positions) if positions else max_length


def _image_size_px(pair: RenderedPair) -> tuple[int, int]:
    from PIL import Image

    with Image.open(pair.pair.image) as image:
        return image.size


def _num_tokens(text: str, processor: Any) -> int:
    return len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def _image_tokens(prompt: str, size: tuple[int, int], processor: Any) -> int:
    """Tokens that an image of this size adds to a prompt, beyond its placeholder."""
    from PIL import Image

    expanded = processor(images=[[Image.new("RGB", size)]], text=[prompt], add_special_tokens=False)
    return len(expanded["input_ids"][0]) - _num_tokens(prompt, processor)
