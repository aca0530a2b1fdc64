"""What one question to one model is: its prompt, its sampling, its id. Pure: no model is asked here."""

from __future__ import annotations

import json

from spavl.config import SamplingConfig
from spavl.inference.request import Sampling
from spavl.records import Question, stable_hash

PROMPT_TEMPLATE = "{question}"  # as SPA-VL: the question as it is, without a system prompt
PROMPT_HASH = stable_hash(PROMPT_TEMPLATE)


def sampling_of(config: SamplingConfig, sample: int) -> Sampling:
    """How the sample with this 0-based number is drawn; 31 seed bits of a hash of (config seed, number)."""
    seed = int(stable_hash("response", config.seed, sample)[:8], 16) & 0x7FFFFFFF
    return Sampling(config.temperature, config.top_p, config.max_tokens, seed)


def sampling_json(sampling: Sampling) -> str:
    """The sampling as it stands on a row: temperature, top_p, max_tokens, seed."""
    return json.dumps(
        {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
        }
    )


def response_id(question: Question, model: str, revision: str, sampling: Sampling, sample: int) -> str:
    """The id of the answer of `model` at `revision` to `question`, for the sample with this number."""
    return stable_hash(
        "response",
        question.id,
        question.text,
        question.image_id,
        model,
        revision,
        PROMPT_HASH,
        sampling_json(sampling),
        sample,
    )
