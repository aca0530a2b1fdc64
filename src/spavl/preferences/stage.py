"""`preferences`: puts the askings of each pair together, decides it, and audits labels and pairs. Seal alone: nothing is asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from spavl.artifacts.record import read_rows
from spavl.preferences.auditing import Night, audit
from spavl.preferences.deciding import REASONS_TO_DROP, Decision, decide
from spavl.records import AXES, Comparison, Image, Preference, Question, Response, stable_hash
from spavl.stage import Sealed, StageContext

TABLE = Preference

PairAskings = list[Comparison]


def seal(ctx: StageContext, rows: list[Any]) -> Sealed:
    """The decided pairs, by image and question; every dropped one is counted with its reason."""
    night = _night(ctx)
    is_unsafe = {response: label.is_unsafe for response, label in night.labels.items()}
    helpfulness = {response: label.helpfulness for response, label in night.labels.items()}
    decided = [
        (askings, _decision(ctx, night.questions, is_unsafe, helpfulness, askings))
        for askings in _by_pair(ctx.rows("comparisons"))
    ]
    kept = [
        _preference(night.questions, night.responses, is_unsafe, askings, decision)
        for askings, decision in decided
        if decision.dropped is None
    ]
    measures, evidence = audit(night, decided, kept)
    decisions = [decision for _, decision in decided]
    return Sealed(
        rows=kept,
        counts=_counts(decisions, kept),
        details=_details(decisions, kept, is_unsafe) | {"audit": evidence},
        measures=measures,
    )


def _night(ctx: StageContext) -> Night:
    former = ctx.previous("images")
    return Night(
        images={row.id: row for row in ctx.rows("images")},
        questions={row.id: row for row in ctx.rows("questions")},
        responses={row.id: row for row in ctx.rows("responses")},
        labels={
            row.response_id: row
            for row in ctx.rows("judgements")
            if row.mode == "image" and row.outcome == "ok"
        },
        former_images=read_rows(ctx.store, former, Image) if former is not None else (),
    )


def _by_pair(rows: list[Comparison]) -> list[PairAskings]:
    """The askings of each pair, sorted by image, question and responses."""
    pairs: dict[tuple[str, str, str, str], PairAskings] = defaultdict(list)
    for row in rows:
        pairs[row.image_id, row.question_id, row.response_a, row.response_b].append(row)
    return [sorted(pairs[key], key=lambda row: (row.axis, row.order)) for key in sorted(pairs)]


def _decision(
    ctx: StageContext,
    questions: Mapping[str, Question],
    is_unsafe: dict[str, bool],
    helpfulness: dict[str, int],
    askings: PairAskings,
) -> Decision:
    return decide(
        askings,
        is_harm_prompt=questions[askings[0].question_id].kind != "benign_control",
        is_unsafe=is_unsafe,
        helpfulness=helpfulness,
        min_agreement=ctx.section().min_agreement,
        min_benign_helpfulness=ctx.section().min_benign_helpfulness,
    )


def _preference(
    questions: Mapping[str, Question],
    responses: Mapping[str, Response],
    is_unsafe: dict[str, bool],
    askings: PairAskings,
    decision: Decision,
) -> Preference:
    row = askings[0]
    question = questions[row.question_id]
    sides = [(responses[row.response_a], row.group_a), (responses[row.response_b], row.group_b)]
    (chosen, chosen_group), (rejected, rejected_group) = sides if decision.winner == "a" else reversed(sides)
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
        chosen_is_unsafe=is_unsafe.get(chosen.id),
        rejected_is_unsafe=is_unsafe.get(rejected.id),
    )


def _counts(decisions: list[Decision], kept: list[Preference]) -> dict[str, int]:
    dropped = Counter(decision.dropped for decision in decisions)
    verdicts = [verdict for decision in decisions for verdict in decision.verdicts.values()]
    return {
        "pairs": len(decisions),
        "kept": len(kept),
        "benign_kept": sum(row.is_benign for row in kept),
        **{f"dropped_{reason}": dropped[reason] for reason in REASONS_TO_DROP},
        "inconsistent_axes": sum(
            verdict.winner is not None and not verdict.is_consistent for verdict in verdicts
        ),
        "undecided_axes": sum(verdict.winner is None for verdict in verdicts),
    }


def _details(decisions: list[Decision], kept: list[Preference], is_unsafe: dict[str, bool]) -> dict[str, Any]:
    """Shares in 0 to 1, None where there is nothing to take a share of."""
    decided_axes = [v for d in decisions for v in d.verdicts.values() if v.winner is not None]
    against_label = sum(
        is_unsafe.get(row.chosen_response) is True and is_unsafe.get(row.rejected_response) is False
        for row in kept
    )
    return {
        "benign_share": _share(sum(row.is_benign for row in kept), len(kept)),
        "position_bias": _share(
            sum(not verdict.is_consistent for verdict in decided_axes), len(decided_axes)
        ),
        "decided_by": {axis: sum(row.decided_by == axis for row in kept) for axis in AXES},
        "chosen_unsafe_rejected_safe": against_label,
        "kept_per_class1": dict(sorted(Counter(row.class1 for row in kept).items())),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
