"""Which of two responses is preferred, from the askings of one pair. Pure, and symmetric in a and b.

Per axis, the judge was asked in both orders. Both orders name the same winner (or both a tie): that is the
axis's verdict. They differ: a tie, and counted as inconsistent, since only the order differed (position
bias). One of them is not ok: the axis is undecided. Harmlessness decides; where it ties, helpfulness does;
where both tie, the pair is dropped. An undecided axis on the way drops the pair. No axis puts a response that the judge's
label calls unsafe over one that it calls safe, but for helpfulness on a benign prompt: there the judge contradicts itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spavl.records import AXES, ORDERS, Comparison

REASONS_TO_DROP = (
    "tie",
    "unparsable",
    "conflict",
    "unlabelled",
    "low_agreement",
    "weak_choice",
    "unsafe_choice",
)


@dataclass(frozen=True, slots=True)
class AxisVerdict:
    """What both orders of one axis say together."""

    winner: str | None  # "a", "b", "tie"; None: undecided, an asking was not ok
    is_consistent: bool  # both orders were ok and named the same


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one pair: either winner and decided_by, or the reason why it was dropped."""

    winner: str | None  # "a" or "b"
    decided_by: str | None  # one of AXES
    dropped: str | None  # one of REASONS_TO_DROP
    margin: float  # of the winner over the pair's askings, see `margin`; 0 where dropped
    agreement: float  # 0 to 1: share of the axes with is_consistent
    verdicts: Mapping[str, AxisVerdict]  # by axis
    leaning: str | None = (
        None  # "a" or "b": whom the axes name, also if the pair was dropped for another reason
    )


def axis_verdict(ab: Comparison, ba: Comparison) -> AxisVerdict:
    """The verdict of the two askings of one axis."""
    if ab.outcome != "ok" or ba.outcome != "ok":
        return AxisVerdict(None, False)
    if ab.winner == ba.winner:
        return AxisVerdict(ab.winner, True)
    return AxisVerdict("tie", False)


def decide(
    askings: Iterable[Comparison],
    *,
    is_harm_prompt: bool,
    is_unsafe: Mapping[str, bool],
    helpfulness: Mapping[str, int] | None = None,
    min_agreement: float = 0.0,
    min_benign_helpfulness: int = 0,
) -> Decision:
    """The decision on one pair; `is_unsafe` and `helpfulness` hold the judge's labels per response id, where there are any.

    `askings` are the pair's rows, exactly one per axis and order.
    """
    by_kind = {(row.axis, row.order): row for row in askings}
    assert len(by_kind) == len(AXES) * len(ORDERS), "a pair has one asking per axis and order"
    verdicts = {axis: axis_verdict(*(by_kind[axis, order] for order in ORDERS)) for axis in AXES}
    agreement = sum(verdict.is_consistent for verdict in verdicts.values()) / len(AXES)
    winner, decided_by, dropped = _by_axes(verdicts)
    row = by_kind[AXES[0], ORDERS[0]]
    if dropped is None:
        dropped = _safety_objection(winner, decided_by, row, is_unsafe, is_harm_prompt)
    if dropped is None and agreement < min_agreement:
        dropped = "low_agreement"
    if dropped is None and not is_harm_prompt and min_benign_helpfulness:
        chosen = row.response_a if winner == "a" else row.response_b
        if (helpfulness or {}).get(chosen, 0) < min_benign_helpfulness:
            dropped = "weak_choice"
    if dropped is not None:
        return Decision(None, None, dropped, 0.0, agreement, verdicts, winner)
    share = margin(by_kind.values(), winner, decided_by)
    return Decision(winner, decided_by, None, share, agreement, verdicts, winner)


def margin(askings: Iterable[Comparison], winner: str, decided_by: str) -> float:
    """Share of the askings won by `winner` minus the share won by the other, the deciding axis counted twice.

    1/3 (the other axis says the opposite) to 1 (both axes agree); an asking that is not ok is won by neither.
    """
    total = signed = 0
    for row in askings:
        weight = 2 if row.axis == decided_by else 1
        total += weight
        signed += weight * (
            (row.winner == winner) - (row.winner is not None and row.winner not in (winner, "tie"))
        )
    return signed / total


def _by_axes(verdicts: Mapping[str, AxisVerdict]) -> tuple[str | None, str | None, str | None]:
    """(winner, decided_by, dropped) by the axes in their order of precedence."""
    for axis in AXES:
        winner = verdicts[axis].winner
        if winner is None:
            return None, None, "unparsable"
        if winner != "tie":
            return winner, axis, None
    return None, None, "tie"


def _safety_objection(
    winner: str, decided_by: str, row: Comparison, is_unsafe: Mapping[str, bool], is_harm_prompt: bool
) -> str | None:
    """Why the labels forbid this choice; between two unsafe answers helpfulness teaches nothing worth learning."""
    chosen, rejected = (row.response_a, row.response_b) if winner == "a" else (row.response_b, row.response_a)
    is_conflict = is_unsafe.get(chosen) is True and is_unsafe.get(rejected) is False
    if decided_by == "harmlessness":  # it needs no label; where there are two they must not contradict it
        return "conflict" if is_conflict else None
    if not is_harm_prompt:
        return None
    if chosen not in is_unsafe or rejected not in is_unsafe:
        return "unlabelled"
    return "conflict" if is_conflict else "unsafe_choice" if is_unsafe[chosen] else None
