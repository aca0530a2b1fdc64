"""Requests as the tensors of one batch: chat template, image decoding, left padding, and who does not fit.

A request that cannot be prepared is named with a short reason and leaves the batch; the others are not touched by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.inference.pictures import BadPicture, decode
from spavl.inference.request import Request

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request in the model's own words."""

    request: Request
    text: str  # after the chat template, the generation prompt at its end
    picture: Image | None


class Unusable(ValueError):
    """A request that no prompt can be made of; the message is short and holds no content."""


def make_prompt(processor: Any, request: Request) -> Prompt:
    """The prompt of one request; raises Unusable for an image that does not decode or a template that refuses."""
    try:
        picture = None if request.image is None else decode(request.image)
    except BadPicture as error:
        raise Unusable(str(error)) from None
    try:
        text = processor.apply_chat_template(_messages(request), add_generation_prompt=True, tokenize=False)
    except (
        Exception
    ) as error:  # templates are programs of the model's author: jinja2 errors, KeyError, TypeError
        raise Unusable(f"the chat template refuses the request ({type(error).__name__})") from None
    image_token = getattr(processor, "image_token", None)
    if image_token and text.count(image_token) != (picture is not None):
        raise Unusable("the prompt holds the model's own image token")
    return Prompt(request, text, picture)


def encode(
    processor: Any, prompts: Sequence[Prompt], max_positions: int | None
) -> tuple[list[Prompt], Any, dict[str, str]]:
    """The prompts that fit, their tensors (input_ids and attention_mask [B, T] int64, left-padded), and reasons by id.

    A prompt fits if its tokens plus its `max_tokens` are at most `max_positions`. Tensors are None where none fits.
    """
    reasons: dict[str, str] = {}
    while usable := [prompt for prompt in prompts if prompt.request.id not in reasons]:
        try:
            tensors = _tensors(processor, usable)
        except Exception:  # each model's processor has its own errors; the search below names whose they are
            found = _unencodable(processor, usable)
            if not found:
                raise
        else:
            found = _too_long(usable, tensors, max_positions)
            if not found:
                return usable, tensors, reasons
        reasons.update(found)
    return [], None, reasons


def _messages(request: Request) -> list[dict[str, Any]]:
    system = (
        [{"role": "system", "content": [{"type": "text", "text": request.system}]}] if request.system else []
    )
    image = [] if request.image is None else [{"type": "image"}]
    return [*system, {"role": "user", "content": [*image, {"type": "text", "text": request.prompt}]}]


def _tensors(processor: Any, prompts: Sequence[Prompt]) -> Any:
    tokenizer = processor.tokenizer
    pictures = [prompt.picture for prompt in prompts if prompt.picture is not None]
    # a template that writes the first token itself must not get a second one
    has_bos = bool(tokenizer.bos_token) and prompts[0].text.startswith(tokenizer.bos_token)
    return processor(
        text=[prompt.text for prompt in prompts],
        images=pictures or None,
        padding=True,
        padding_side="left",
        add_special_tokens=not has_bos,
        return_tensors="pt",
    )


def _unencodable(processor: Any, prompts: Sequence[Prompt]) -> dict[str, str]:
    reasons = {}
    for prompt in prompts:
        try:
            _tensors(processor, [prompt])
        except Exception as error:
            reasons[prompt.request.id] = f"the processor refuses the request ({type(error).__name__})"
    return reasons


def _too_long(prompts: Sequence[Prompt], tensors: Any, max_positions: int | None) -> dict[str, str]:
    if max_positions is None:
        return {}
    return {
        prompt.request.id: f"{num_tokens} prompt tokens and max_tokens {prompt.request.sampling.max_tokens}"
        f" exceed the model's {max_positions}"
        for prompt, num_tokens in zip(prompts, tensors["attention_mask"].sum(dim=1).tolist(), strict=True)
        if num_tokens + prompt.request.sampling.max_tokens > max_positions
    }
