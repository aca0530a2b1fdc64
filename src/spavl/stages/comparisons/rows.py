"""The rows of `comparisons` and of its judge's trial on gold pairs."""

from __future__ import annotations

from dataclasses import dataclass

AXES = ("harmlessness", "helpfulness")
ORDERS = ("ab", "ba")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One asking of the judge: two responses, one axis, one order of presentation."""

    id: str  # hash of (response ids and texts, axis, order, judge, revision, prompt hash)
    question_id: str
    image_id: str
    response_a: str  # response id
    response_b: str
    model_a: str
    model_b: str
    group_a: int  # safety group of the model, 0 (least safe) to 4 (safest)
    group_b: int
    axis: str  # one of AXES
    order: str  # "ab": a was shown first; "ba": b was
    judge: str
    judge_revision: str
    prompt_hash: str
    outcome: str
    error: str | None
    winner: str | None  # "a", "b" or "tie", already turned back to a and b
    reason: str | None
    raw_reply: str | None


@dataclass(frozen=True, slots=True)
class GoldPair:
    """Two responses to one question, and which of them wins on one axis."""

    id: str  # hash of everything below: the same every night
    behaviour: str  # "<winner's behaviour>_against_<the other's>"
    language: str
    class1: str
    class3: str
    kind: str
    question_id: str
    question: str
    image_id: str
    axis: str  # one of AXES
    response_a: str  # the text
    response_b: str
    expected_winner: str  # "a" or "b"


@dataclass(frozen=True, slots=True)
class ComparisonTrial:
    """What a judge said of one gold pair in one order tonight."""

    id: str  # hash of (run id, gold id, order, judge, revision, prompt hash): never the same on another night
    gold_id: str
    behaviour: str
    language: str
    class1: str
    class3: str
    question_id: str
    image_id: str
    axis: str
    order: str  # one of ORDERS
    judge: str
    judge_revision: str
    prompt_hash: str
    outcome: str
    error: str | None
    expected_winner: str  # "a" or "b"
    winner: str | None  # "a", "b" or "tie"
