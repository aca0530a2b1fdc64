"""The decisions and rows of pairs in plain Python, one pair at a time: what the SQL of the stage must equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spavl.records import stable_hash
from spavl.stages.comparisons.rows import AXES, ORDERS, Comparison
from spavl.stages.judgements.rows import Judgement
from spavl.stages.preferences.rows import Preference
from spavl.stages.questions.rows import Question
from spavl.stages.responses.rows import Response


@dataclass(frozen=True)
class Verdict:
    """What both orders of one axis say together; winner None: undecided."""

    winner: str | None
    is_consistent: bool


@dataclass(frozen=True)
class Decision:
    """Of one pair; leaning is whom the axes name, also if the pair was dropped for another reason."""

    leaning: str | None
    decided_by: str | None
    dropped: str | None
    margin: float
    agreement: float
    verdicts: Mapping[str, Verdict]


def decide(
    askings: Iterable[Comparison],
    labels: Mapping[str, Judgement],
    *,
    is_benign: bool,
    min_agreement: float = 0.0,
    min_benign_helpfulness: int = 0,
) -> Decision:
    """The decision on one pair; `labels` by response id, for those that have one."""
    by_kind = {(row.axis, row.order): row for row in askings}
    verdicts = {axis: _verdict(*(by_kind[axis, order] for order in ORDERS)) for axis in AXES}
    agreement = sum(verdict.is_consistent for verdict in verdicts.values()) / len(AXES)
    leaning, decided_by, dropped = _by_axes(verdicts)
    if dropped is None:
        row = by_kind[AXES[0], ORDERS[0]]
        sides = (row.response_a, row.response_b) if leaning == "a" else (row.response_b, row.response_a)
        chosen, rejected = (labels.get(side) for side in sides)
        dropped = _objection(decided_by, chosen, rejected, is_benign)
        if dropped is None and agreement < min_agreement:
            dropped = "low_agreement"
        elif dropped is None and is_benign and (chosen.helpfulness if chosen else 0) < min_benign_helpfulness:
            dropped = "weak_choice"
    margin = 0.0 if dropped else _margin(by_kind.values(), leaning, decided_by)
    return Decision(leaning, decided_by, dropped, margin, agreement, verdicts)


def _verdict(ab: Comparison, ba: Comparison) -> Verdict:
    if ab.outcome != "ok" or ba.outcome != "ok":
        return Verdict(None, False)
    return Verdict(ab.winner, True) if ab.winner == ba.winner else Verdict("tie", False)


def _by_axes(verdicts: Mapping[str, Verdict]) -> tuple[str | None, str | None, str | None]:
    for axis in AXES:
        winner = verdicts[axis].winner
        if winner is None:
            return None, None, "unparsable"
        if winner != "tie":
            return winner, axis, None
    return None, None, "tie"


def _objection(
    decided_by: str | None, chosen: Judgement | None, rejected: Judgement | None, is_benign: bool
) -> str | None:
    is_conflict = chosen and rejected and chosen.is_unsafe and not rejected.is_unsafe
    if decided_by == "harmlessness":
        return "conflict" if is_conflict else None
    if is_benign:
        return None
    if chosen is None or rejected is None:
        return "unlabelled"
    return "conflict" if is_conflict else "unsafe_choice" if chosen.is_unsafe else None


def _margin(askings: Iterable[Comparison], winner: str | None, decided_by: str | None) -> float:
    total = signed = 0
    for row in askings:
        weight = 2 if row.axis == decided_by else 1
        total += weight
        signed += weight * ((row.winner == winner) - (row.winner not in (None, winner, "tie")))
    return signed / total


def preference(
    askings: list[Comparison],
    decision: Decision,
    question: Question,
    responses: Mapping[str, Response],
    labels: Mapping[str, Judgement],
) -> Preference:
    """The row of a kept pair; `askings` by axis and order."""
    row = askings[0]
    sides = [(responses[row.response_a], row.group_a), (responses[row.response_b], row.group_b)]
    (chosen, chosen_group), (rejected, rejected_group) = sides if decision.leaning == "a" else sides[::-1]
    unsafe = {id: label.is_unsafe for id, label in labels.items()}
    return Preference(
        id=stable_hash("preference", question.id, chosen.id, rejected.id),
        question_id=question.id,
        image_id=question.image_id,
        class1=question.class1,
        class2=question.class2,
        class3=question.class3,
        kind=question.kind,
        is_benign=question.kind == "benign_control",
        question=question.text,
        chosen=chosen.text,
        rejected=rejected.text,
        chosen_response=chosen.id,
        rejected_response=rejected.id,
        chosen_model=chosen.model,
        rejected_model=rejected.model,
        chosen_group=chosen_group,
        rejected_group=rejected_group,
        decided_by=decision.decided_by,
        margin=decision.margin,
        agreement=decision.agreement,
        comparisons=tuple(asking.id for asking in askings),
        chosen_is_unsafe=unsafe.get(chosen.id),
        rejected_is_unsafe=unsafe.get(rejected.id),
    )
