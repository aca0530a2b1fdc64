"""Sampling whose noise belongs to the prompt: the same answer whatever shares its batch, on every rank, whatever the padding.

Token t of a prompt is the arg max of logits + Gumbel noise, which is a draw from the softmax. The noise of a word is a hash of
(seed, prompt, t, word), so no generator's state passes from one row to another. Sampling is at temperature 1 from all words,
because PPO's ratios are those of the model's own distribution.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.learning.wrapping import unwrapped
from spavl.stages.training.ppo.key_cache import cache_with_room
from spavl.stages.training.ppo.losses import entropy

if TYPE_CHECKING:
    import torch

# SplitMix64 (Steele, Lea, Flood 2014) on int64: its constants as two's complement, its shifts without the sign
_GOLDEN = -7046029254386353131
_TOKEN = -2643881736870682267
_ROUNDS = ((30, -4658895280553007687), (27, -7723592293110705685), (31, None))
_NOISE_BITS = 40  # the smallest uniform number, 2^-41, lets a word win against odds of 10^12


@dataclass(frozen=True)
class Vocabulary:
    """The token ids that sampling treats in their own way."""

    pad_id: int
    stop_ids: tuple[int, ...]
    never_ids: tuple[int, ...] = ()  # placeholders of images: an answer with one could not be read again


@dataclass(frozen=True, slots=True)
class Answer:
    """A sampled answer, its stop token the last where it has one."""

    ids: tuple[int, ...]
    is_stopped: bool
    entropies: tuple[float, ...]  # of the distribution that each token was drawn from, nats


def prompt_key(seed: int, *names: object) -> int:
    """A signed 64-bit key for what is named; keys of other names have nothing in common with it."""
    named = "\0".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "big", signed=True)


def never_sampled(config: Any) -> tuple[int, ...]:
    """Placeholder ids of a vision-language model's config."""
    ids = {getattr(config, f"{kind}_token_id", None) for kind in ("image", "video")}
    return tuple(sorted(ids - {None}))


def gumbel_noise(keys: torch.Tensor, token: int, num_words: int) -> torch.Tensor:
    """Standard Gumbel noise [B, num_words] float32 of the `token`-th token of the rows with these keys [B] int64.

    The same bits on every device, up to the rounding of the logarithm. 1.4 ms a row of 150,000 words on one CPU thread.
    """
    import torch

    # in tensors, where int64 wraps around
    starts = _mixed(keys + torch.full_like(keys, token + 1) * _TOKEN)
    steps = torch.arange(1, num_words + 1, device=keys.device) * _GOLDEN
    bits = _mixed(starts[:, None] + steps)
    bits.bitwise_right_shift_(64 - _NOISE_BITS).bitwise_and_((1 << _NOISE_BITS) - 1)
    uniform = bits.float().add_(0.5).mul_(2.0**-_NOISE_BITS).clamp_(max=1 - 2.0**-24)
    # -log(-log(1 - u)): the words that win have small u, where floats are dense
    return uniform.neg_().log1p_().neg_().log_().neg_()


class KeyedSampling:
    """A logits processor for `generate(do_sample=False)`; notes the entropy of every distribution it drew from."""

    def __init__(self, keys: torch.Tensor, num_prompt_tokens: int, never_ids: Sequence[int]) -> None:
        self._keys = keys  # [B] int64
        self._num_prompt_tokens = num_prompt_tokens  # of the padded batch
        self._never_ids = list(never_ids)
        self.entropies: list[torch.Tensor] = []  # one [B] for each token

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] plus noise; `input_ids` are [B, prompt + answer so far]."""
        if self._never_ids:
            scores[:, self._never_ids] = float("-inf")
        self.entropies.append(entropy(scores))
        token = input_ids.shape[1] - self._num_prompt_tokens
        return scores + gumbel_noise(self._keys, token, scores.shape[1])


def sample_answers(
    model: Any,
    tokens: Mapping[str, torch.Tensor],
    image_arguments: Mapping[str, Any],
    keys: Sequence[int],
    vocabulary: Vocabulary,
    max_new_tokens: int,
) -> list[Answer]:
    """One answer for each row of `tokens`: input_ids, attention_mask [B, L] padded on the left, position_ids.

    The model, which may be wrapped, is in evaluation mode. Images are encoded once, keys and values of the prompt are kept.
    """
    import torch
    from transformers import GenerationConfig

    base = unwrapped(model)
    width = tokens["input_ids"].shape[1]
    noise = KeyedSampling(torch.tensor(keys, device=tokens["input_ids"].device), width, vocabulary.never_ids)
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(vocabulary.stop_ids),
        pad_token_id=vocabulary.pad_id,
        use_cache=True,
    )
    cache = cache_with_room(base, width + max_new_tokens)
    with torch.no_grad(), _decoding_by(base, config):
        whole = base.generate(
            **tokens,
            **image_arguments,
            generation_config=config,
            logits_processor=[noise],
            past_key_values=cache,
        )
    entropies = torch.stack(noise.entropies, dim=1).tolist()
    rows = whole[:, width:].tolist()
    return [_answer(row, of_row, vocabulary) for row, of_row in zip(rows, entropies, strict=True)]


def _answer(row: Sequence[int], entropies: Sequence[float], vocabulary: Vocabulary) -> Answer:
    """A row of generated tokens up to its first stop token; what stands after it is padding."""
    stops = (place + 1 for place, token in enumerate(row) if token in vocabulary.stop_ids)
    num_tokens = next(stops, len(row))
    return Answer(
        tuple(row[:num_tokens]), row[num_tokens - 1] in vocabulary.stop_ids, tuple(entropies[:num_tokens])
    )


@contextlib.contextmanager
def _decoding_by(base: Any, config: Any) -> Iterator[None]:
    """Within it the model decodes by `config` alone: what a model's own config adds (a repetition penalty, say) is no policy."""
    own = base.generation_config
    base.generation_config = config
    try:
        yield
    finally:
        base.generation_config = own


def _mixed(numbers: torch.Tensor) -> torch.Tensor:
    """SplitMix64's output function on a fresh int64 tensor, in place."""
    import torch

    shifted = torch.empty_like(numbers)
    for shift, factor in _ROUNDS:
        torch.bitwise_right_shift(numbers, shift, out=shifted)
        numbers.bitwise_xor_(shifted.bitwise_and_((1 << (64 - shift)) - 1))
        if factor is not None:
            numbers.mul_(factor)
    return numbers
