"""The measures of the table of responses: models that collapse, slices lost, drift. The engine counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from spavl.audit.collapse import collapse
from spavl.audit.drift import drift_of_counts
from spavl.audit.tallies import tally_by, worst_share
from spavl.audit.texts import Texts, texts_by
from spavl.records import BENIGN

if TYPE_CHECKING:
    from spavl.stage import Tables


def response_measures(
    tables: Tables, responses: str, questions: str, former: str | None, former_questions: str | None
) -> dict[str, float | None]:
    """Measures of the view `responses`, whose questions are in `questions`; the former version's views if there are both."""
    has_former = former is not None and former_questions is not None
    return {
        **collapse(
            _answers(tables, responses, questions),
            _answers(tables, former, former_questions) if has_former else None,
        ),
        "error_share_of_slice": worst_share(
            tables,
            f"{responses} responses JOIN {questions} questions ON questions.id = responses.question_id",
            "responses.outcome = 'error'",
            *(("model", f"questions.{name}") for name in ("class1", "class3", "kind")),
        ),
        **_drift(_lengths(tables, responses), _lengths(tables, former) if has_former else None),
    }


def _answers(tables: Tables, responses: str, questions: str) -> dict[tuple[str, str], Texts]:
    """(model, side) -> counts of its answers; a question that is not there is of the harm side."""
    return texts_by(
        tables,
        f"""SELECT model, if(questions.class1 = '{BENIGN}', 'benign', 'harm') AS side, responses.text
        FROM {responses} responses LEFT JOIN {questions} questions ON questions.id = responses.question_id
        WHERE responses.outcome = 'ok'""",
        ("model", "side"),
    )


def _lengths(tables: Tables, responses: str) -> dict[str, Counter[int]]:
    """Model -> number of answers of each length in characters."""
    return tally_by(tables, f"{responses} WHERE outcome = 'ok'", "model", "length(text)")


def _drift(now: dict[str, Counter[int]], before: dict[str, Counter[int]] | None) -> dict[str, float | None]:
    """Of the models' shares; of each model's lengths the worst model's as `psi_text_chars`."""
    models = drift_of_counts({"model": _totals(now)}, before and {"model": _totals(before)})
    lengths = drift_of_counts(now, before)
    worst = lengths.pop("psi_beyond_chance")
    beyond = [value for value in (models.pop("psi_beyond_chance"), worst) if value is not None]
    known = [value for value in lengths.values() if value is not None]
    return models | {
        "psi_text_chars": max(known, default=None),
        "psi_beyond_chance": max(beyond, default=None),
    }


def _totals(lengths: dict[str, Counter[int]]) -> Counter[str]:
    return Counter({model: found.total() for model, found in lengths.items()})
