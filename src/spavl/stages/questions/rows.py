"""The rows of `questions`."""

from __future__ import annotations

from dataclasses import dataclass

QUESTION_KINDS = ("easy_question", "hard_question", "hard_statement", "benign_control")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, statement or benign control about one image."""

    id: str  # hash of (image id, kind, generator, its revision, prompt hash, seed)
    image_id: str
    class1: str
    class2: str
    class3: str
    kind: str  # one of QUESTION_KINDS
    text: str  # "" unless outcome is "ok"
    generator: str  # model name, or "source" where the question came with the image
    generator_revision: str
    prompt_hash: str
    seed: int
    outcome: str  # one of OUTCOMES
    error: str | None
    raw_reply: str | None
