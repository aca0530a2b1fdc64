"""The rows of `responses`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Response:
    """One model's answer to one question."""

    id: str  # hash of (question id, question text, image id, model, revision, prompt hash, sampling, sample number)
    question_id: str
    image_id: str
    model: str
    model_revision: str
    sample: int  # 0-based number of the sample
    prompt_hash: str
    sampling: str  # JSON: temperature, top_p, max_tokens, seed
    text: str
    outcome: str  # "ok" or "error"
    error: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
