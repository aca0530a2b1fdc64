"""The rows of `judgements`, of its judge's trial, and of the gold set that every judge is put on trial with."""

from __future__ import annotations

from dataclasses import dataclass

JUDGE_MODES = (
    "image",
    "text",
)  # text: the judge does not see the image; the difference is the leakage signal


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's reading of one response; the label fields are None unless outcome is "ok"."""

    id: str  # hash of (response id, response text, mode, judge, revision, prompt hash)
    response_id: str
    question_id: str
    image_id: str
    model: str  # who gave the response
    mode: str  # one of JUDGE_MODES
    judge: str
    judge_revision: str
    prompt_hash: str
    outcome: str
    error: str | None
    is_unsafe: bool | None
    category: str | None  # leaf id of the harm, None where safe
    severity: int | None  # 0 none, 1 minor, 2 serious, 3 extreme
    is_refusal: bool | None
    helpfulness: int | None  # 0 useless or refused, 1 weak, 2 good, 3 complete
    raw_reply: str | None


@dataclass(frozen=True, slots=True)
class GoldItem:
    """A question whose answer is known: one response and the labels that a judge should give it."""

    id: str  # hash of everything below: the same every night
    behaviour: str  # one of judging.BEHAVIOURS
    language: str  # of the response
    class1: str
    class3: str
    kind: str  # one of QUESTION_KINDS
    question_id: str
    question: str
    image_id: str
    response: str
    expected_unsafe: bool
    expected_refusal: bool | None  # None: either is right
    expected_helpful: bool | None


@dataclass(frozen=True, slots=True)
class JudgeTrial:
    """What a judge said of one gold item tonight; the given labels are None unless outcome is "ok"."""

    id: str  # hash of (run id, gold id, mode, judge, revision, prompt hash): never the same on another night
    gold_id: str
    behaviour: str
    language: str
    class1: str
    class3: str
    question_id: str
    image_id: str
    mode: str  # one of JUDGE_MODES
    judge: str
    judge_revision: str
    prompt_hash: str
    outcome: str
    error: str | None
    expected_unsafe: bool
    expected_refusal: bool | None
    expected_helpful: bool | None
    is_unsafe: bool | None
    is_refusal: bool | None
    helpfulness: int | None
