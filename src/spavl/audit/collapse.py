"""Answering models that no longer answer: blank, one refusal, one sentence. Pure.

A safe model may well refuse every harm prompt in the same words; that it says one thing to every benign prompt is what
tells a collapse. So the two are measured apart, and a rise against the former version counts too.
"""

from __future__ import annotations

from collections.abc import Mapping

from spavl.audit.texts import Texts

SIDES = ("benign", "harm")


def collapse(
    answers: Mapping[tuple[str, str], Texts], former: Mapping[tuple[str, str], Texts] | None
) -> dict[str, float | None]:
    """Measures of the worst model; both are (model, side) -> counts of its answers."""
    shares = {key: texts.commonest_share for key, texts in answers.items()}
    before = {key: texts.commonest_share for key, texts in (former or {}).items()}
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
            (texts.effective_number for (_, side), texts in answers.items() if side == "benign"),
            default=None,
        ),
        "blank_share_of_model": _blank_share(answers),
    }


def _blank_share(answers: Mapping[tuple[str, str], Texts]) -> float | None:
    by_model: dict[str, list[Texts]] = {}
    for (model, _), texts in answers.items():
        by_model.setdefault(model, []).append(texts)
    return max(
        (
            sum(texts.num_blank for texts in of_model) / sum(texts.num_texts for texts in of_model)
            for of_model in by_model.values()
        ),
        default=None,
    )
