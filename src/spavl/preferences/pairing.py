"""The pairs that the audit looks at: kept rows as they are, and what was dropped though the axes named a winner. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from spavl.audit.direction import Pair
from spavl.preferences.deciding import Decision
from spavl.records import Comparison, Judgement, Preference, Question, Response

Decided = Sequence[tuple[Sequence[Comparison], Decision]]


def audited_pairs(
    questions: Mapping[str, Question],
    responses: Mapping[str, Response],
    labels: Mapping[str, Judgement],
    decided: Decided,
    kept: Iterable[Preference],
) -> tuple[list[Pair], list[Pair]]:
    """(harm, benign) pairs: the kept ones as their rows say, and those that the axes decided and another reason dropped.

    A judge's bad choice shows among the dropped, a hand on the table among the kept.
    """
    made = [_kept_pair(row) for row in kept]
    made += [
        _dropped_pair(questions, responses, labels, askings[0], decision.leaning)
        for askings, decision in decided
        if decision.dropped and decision.leaning
    ]
    return [p for p in made if p.kind != "benign_control"], [p for p in made if p.kind == "benign_control"]


def _kept_pair(row: Preference) -> Pair:
    return Pair(
        id=f"{row.chosen_response}/{row.rejected_response}",
        image_id=row.image_id,
        leaf=row.class3,
        domain=row.class1,
        kind=row.kind,
        question=row.question,
        chosen=row.chosen,
        rejected=row.rejected,
        chosen_model=row.chosen_model,
        rejected_model=row.rejected_model,
        chosen_is_unsafe=row.chosen_is_unsafe,
        rejected_is_unsafe=row.rejected_is_unsafe,
    )


def _dropped_pair(
    questions: Mapping[str, Question],
    responses: Mapping[str, Response],
    labels: Mapping[str, Judgement],
    row: Comparison,
    winner: str,
) -> Pair:
    ids = (row.response_a, row.response_b) if winner == "a" else (row.response_b, row.response_a)
    chosen, rejected = (responses[id] for id in ids)
    question, (of_chosen, of_rejected) = questions[row.question_id], (labels.get(id) for id in ids)
    return Pair(
        id=f"{chosen.id}/{rejected.id}",
        image_id=row.image_id,
        leaf=question.class3,
        domain=question.class1,
        kind=question.kind,
        question=question.text,
        chosen=chosen.text,
        rejected=rejected.text,
        chosen_model=chosen.model,
        rejected_model=rejected.model,
        chosen_is_unsafe=of_chosen.is_unsafe if of_chosen else None,
        rejected_is_unsafe=of_rejected.is_unsafe if of_rejected else None,
    )


def num_unlike_their_responses(
    kept: Iterable[Preference], responses: Mapping[str, Response], labels: Mapping[str, Judgement]
) -> int:
    """How many answers of the rows have a text or a label that is not the one of the response they name."""
    return sum(
        (text, label) != (responses[id].text, labels[id].is_unsafe if id in labels else None)
        for row in kept
        for id, text, label in (
            (row.chosen_response, row.chosen, row.chosen_is_unsafe),
            (row.rejected_response, row.rejected, row.rejected_is_unsafe),
        )
    )
