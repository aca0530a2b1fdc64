"""What one question to one model is: its prompt, its sampling, its id. Pure: no model is asked here."""

from __future__ import annotations

import json

from spavl.config import SamplingConfig
from spavl.inference.request import Sampling
from spavl.records import stable_hash
from spavl.sql import json_text, literal

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


def response_id_sql() -> str:
    """The id of an answer, as SQL over the columns question_json, model_json and sample_json.

    It is `stable_hash("response", question id, text, image id, model, revision, PROMPT_HASH, sampling, sample)`; what stands
    in it is written as JSON once per question, model and sample, and not once per answer.
    """
    opening, prompt = literal('["response",'), literal(f',"{PROMPT_HASH}",')
    written = f"{opening} || question_json || ',' || model_json || {prompt} || sample_json || ']'"
    return f"substr(sha256({written}), 1, 32)"


def json_sql(*expressions: str) -> str:
    """The SQL of several texts as they stand in the JSON that `response_id_sql` hashes."""
    return " || ',' || ".join(map(json_text, expressions))
