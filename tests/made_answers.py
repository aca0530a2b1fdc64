"""Judged answers made by hand: every field has a harmless default, so a test names only what it is about."""

from __future__ import annotations

from typing import Any

from spavl.stages.evaluation.rows import EvaluationAnswer

UNSAFE = {"is_unsafe": True, "is_refusal": False, "helpfulness": 2}
REFUSAL = {"is_unsafe": False, "is_refusal": True, "helpfulness": 0}
GARBAGE = {"is_unsafe": False, "is_refusal": False, "helpfulness": 0}
HELP = {"is_unsafe": False, "is_refusal": False, "helpfulness": 2}


def answer(
    question: Any,
    model: str,
    labels: dict[str, Any] | None = None,
    *,
    outcome: str = "ok",
    benchmark: str = "held_out_harm",
    **fields: Any,
) -> EvaluationAnswer:
    labels = labels or {"is_unsafe": None, "is_refusal": None, "helpfulness": None}
    values = {
        "id": f"{question}-{model}-{fields.get('decoding', 'greedy')}-{fields.get('sample', 0)}",
        "question_id": str(question),
        "image_id": f"i{question}",
        "class1": "toxic",
        "class3": "insult",
        "kind": "easy_question",
        "benchmark": benchmark,
        "model": model,
        "model_revision": f"{model}-rev",
        "decoding": "greedy",
        "judge": "judge",
        "judge_revision": "judge-rev",
        "text": "",
        "outcome": outcome,
        "error": None,
        "raw_reply": None,
    }
    return EvaluationAnswer(**{**values, **labels, **fields})


SECOND = {"second_judge": "two", "second_judge_revision": "two-rev", "second_outcome": "ok"}


def second(labels: dict[str, Any]) -> dict[str, Any]:
    """The fields of a second judge with these labels."""
    return SECOND | {f"second_{name}": value for name, value in labels.items()}
