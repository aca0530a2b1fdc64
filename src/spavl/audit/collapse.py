"""Answering models that no longer answer: blank, one refusal, one sentence. Pure.

A safe model may well refuse every harm prompt in the same words; that it says one thing to every benign prompt is what
tells a collapse. So the two are measured apart, and a rise against the former version counts too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spavl.audit.floods import commonest_share, effective_number, normalised

SIDES = ("benign", "harm")


def texts_by_model(
    rows: Iterable[tuple[str, str, str]], benign_questions: frozenset[str]
) -> dict[tuple[str, str], list[str]]:
    """(model, side) -> normalised answers, of rows (model, question id, text)."""
    found: dict[tuple[str, str], list[str]] = {}
    for model, question_id, text in rows:
        side = "benign" if question_id in benign_questions else "harm"
        found.setdefault((model, side), []).append(normalised(text))
    return found


def collapse(
    answers: Mapping[tuple[str, str], list[str]], former: Mapping[tuple[str, str], list[str]] | None
) -> dict[str, float | None]:
    """Measures of the worst model; `answers` and `former` as `texts_by_model` gives them."""
    shares = {key: commonest_share(texts) for key, texts in answers.items()}
    before = {key: commonest_share(texts) for key, texts in (former or {}).items()}
    rises = [share - before[key] for key, share in shares.items() if key in before]
    return {
        **{
            f"commonest_answer_share_{side}": max(
                (shares[key] for key in shares if key[1] == side), default=None
            )
            for side in SIDES
        },
        "rise_of_commonest_answer": max(rises, default=None),
        "effective_answers_benign": min(
            (effective_number(texts) for (_, side), texts in answers.items() if side == "benign"),
            default=None,
        ),
        "blank_share_of_model": _blank_share(answers),
    }


def _blank_share(answers: Mapping[tuple[str, str], list[str]]) -> float | None:
    by_model: dict[str, list[str]] = {}
    for (model, _), texts in answers.items():
        by_model.setdefault(model, []).extend(texts)
    return max((texts.count("") / len(texts) for texts in by_model.values()), default=None)
