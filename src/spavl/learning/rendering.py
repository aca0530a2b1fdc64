"""Pairs as the text that the model reads: its own chat template, the same prompt as at inference, a trained stop token.

Many templates (LLaVA-1.5's among them) end an answer without the token that stops generation; a model aligned on such
text never learns to stop. Here every answer ends with a stop token, and `check_stop_tokens` looks at the token ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.learning.pairs import Pair

if TYPE_CHECKING:
    from spavl.learning.steps import EncodedPair


@dataclass(frozen=True, slots=True)
class RenderedPair:
    """A pair as plain text; `prompt + chosen` is what the model reads, special tokens written out."""

    pair: Pair
    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class StopTokens:
    """The tokens that end generation."""

    ids: tuple[int, ...]
    texts: tuple[str, ...]  # the first is appended where a template has none


def stop_tokens(processor: Any, generation_config: Any) -> StopTokens:
    """What ends generation: the generation config's tokens, or else the tokenizer's; raises UserError for none."""
    tokenizer = processor.tokenizer
    declared = generation_config.eos_token_id
    ids = [declared] if isinstance(declared, int) else list(declared or [])
    ids = ids or [tokenizer.eos_token_id]
    if None in ids:
        raise UserError(
            "the base model has no stop token: neither its generation config nor its tokenizer names an eos token.",
            next_step="Set eos_token in the model's tokenizer_config.json.",
        )
    ids.sort(key=lambda token: token != tokenizer.eos_token_id)
    return StopTokens(tuple(ids), tuple(tokenizer.convert_ids_to_tokens(ids)))


def has_special_token(pair: Pair, processor: Any) -> bool:
    """Whether a text holds a token that steers the model, such as an image placeholder: it would be read as one."""
    texts = (pair.question, pair.chosen, pair.rejected)
    return any(token in text for token in _special_texts(processor) for text in texts)


def _special_texts(processor: Any) -> set[str]:
    """All texts that the tokenizer reads as one steering token, whether or not it lists them among its special ones."""
    tokenizer = processor.tokenizer
    # Idefics' processor replaces the list by its own, which lacks the marks of tiles; LLaVA's `<image>` may be a plain added token
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    placeholders = {getattr(processor, f"{kind}_token", None) for kind in ("image", "video")}
    return added | set(tokenizer.all_special_tokens) | (placeholders - {None, ""})


def render_pair(pair: Pair, processor: Any, stop: StopTokens) -> RenderedPair:
    """The pair through the model's chat template; raises UserError where the template cannot be used."""
    asked = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": pair.question}]}]
    prompt = _apply(processor, asked, add_generation_prompt=True)
    answers = []
    for answer in (pair.chosen, pair.rejected):
        said = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
        whole = _apply(processor, [*asked, said], add_generation_prompt=False)
        if not whole.startswith(prompt):
            raise UserError(
                "the base model's chat template does not begin a finished turn as it begins an unfinished one.",
                next_step="Use a template whose generation prompt is a prefix of the whole conversation.",
            )
        answers.append(end_with_stop(whole[len(prompt) :], stop))
    return RenderedPair(pair, _with_bos(prompt, processor.tokenizer), answers[0], answers[1])


def end_with_stop(text: str, stop: StopTokens) -> str:
    """The answer with exactly its last visible character followed by a stop token."""
    text = text.rstrip()
    return text if text.endswith(stop.texts) else text + stop.texts[0]


def check_stop_tokens(pairs: Sequence[EncodedPair], stop: StopTokens) -> None:
    """Raise UserError unless the last token of every answer is a stop token."""
    for pair in pairs:
        for answer in (pair.chosen_ids, pair.rejected_ids):
            last = int(answer[-1]) if len(answer) else None
            if last not in stop.ids:
                raise UserError(
                    f"the base model has a chat template without a stop token: an answer ends with token "
                    f"{last}, and generation stops at {list(stop.ids)}.",
                    next_step="Make the stop token a single special token of the tokenizer.",
                )


def any_prompt(processor: Any) -> str:
    """A prompt with one image and no question; raises UserError where the template cannot be used."""
    return _apply(processor, [{"role": "user", "content": [{"type": "image"}]}], add_generation_prompt=True)


def _apply(processor: Any, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool) -> str:
    if not getattr(processor, "chat_template", None):
        raise UserError(
            "the base model has no chat template.", next_step="Save its processor with a chat_template.jinja."
        )
    return processor.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
    )


def _with_bos(prompt: str, tokenizer: Any) -> str:
    # the collator adds no special tokens, inference does where the tokenizer adds one and the template has not
    bos = tokenizer.bos_token
    if not bos or prompt.startswith(bos):
        return prompt
    begins_with_bos = tokenizer(prompt)["input_ids"][:1] == [tokenizer.bos_token_id]
    return bos + prompt if begins_with_bos else prompt
