"""The measures of the table of responses: models that collapse, slices lost, drift. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.audit import coverage
from spavl.audit.collapse import collapse, texts_by_model
from spavl.audit.drift import drift
from spavl.records import BENIGN, Question, Response

FORMER_COLUMNS = ("question_id", "model", "text", "outcome")


def response_measures(
    rows: Sequence[Response],
    questions: Sequence[Question],
    former: Mapping[str, Sequence[Any]] | None,
    former_questions: Mapping[str, Sequence[Any]] | None,
) -> dict[str, float | None]:
    """Measures of `responses`; `former` has FORMER_COLUMNS of the former version's table, `former_questions` id and class1."""
    about = {question.id: question for question in questions}
    answers = [(row.model, row.question_id, row.text) for row in rows if row.outcome == "ok"]
    benign = frozenset(question.id for question in questions if question.class1 == BENIGN)
    before, former_answers = None, None
    if former and former_questions:
        columns = (former[name] for name in FORMER_COLUMNS)
        before = [(m, q, text) for q, m, text, outcome in zip(*columns, strict=True) if outcome == "ok"]
        ids = zip(former_questions["id"], former_questions["class1"], strict=True)
        former_answers = texts_by_model(before, frozenset(id for id, class1 in ids if class1 == BENIGN))
    return {
        **collapse(texts_by_model(answers, benign), former_answers),
        "error_share_of_slice": coverage.worst_share(
            [row.outcome == "error" for row in rows],
            *(
                [(row.model, getattr(about[row.question_id], name)) for row in rows]
                for name in ("class1", "class3", "kind")
            ),
        ),
        **_drift(answers, before),
    }


def _drift(
    answers: Sequence[tuple[str, str, str]], before: Sequence[tuple[str, str, str]] | None
) -> dict[str, float | None]:
    """Of the models' shares; of each model's lengths the worst model's as `psi_text_chars`."""
    models = drift({"model": [row[0] for row in answers]}, before and {"model": [row[0] for row in before]})
    lengths = drift(_lengths(answers), before and _lengths(before))
    worst = lengths.pop("psi_beyond_chance")
    beyond = [value for value in (models.pop("psi_beyond_chance"), worst) if value is not None]
    known = [value for value in lengths.values() if value is not None]
    return models | {
        "psi_text_chars": max(known, default=None),
        "psi_beyond_chance": max(beyond, default=None),
    }


def _lengths(answers: Sequence[tuple[str, str, str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for model, _, text in answers:
        found.setdefault(model, []).append(len(text))
    return found
