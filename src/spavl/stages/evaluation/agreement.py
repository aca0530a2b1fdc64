"""How far two judges agree about the same answers, beyond chance: Krippendorff's alpha, and where they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from spavl.stages.evaluation.rows import EvaluationAnswer

LABELS = ("unsafe", "refusal")


def agreement_measures(answers: Iterable[EvaluationAnswer]) -> dict[str, float | None]:
    """`judge_agreement_<label>` with `__low` and `__high` (95 %, by image); None without a second judge.

    Over the answers that both judges gave a verdict on. If all labels are one there is nothing to agree on: None too.
    """
    from spavl.statistics import krippendorff_alpha

    judged = _judged_by_both(answers)
    measures: dict[str, float | None] = {}
    for label in LABELS:
        first, second = ([getattr(a, f"{prefix}is_{label}") for a in judged] for prefix in ("", "second_"))
        found = krippendorff_alpha(first, second, [a.image_id for a in judged]) if judged else None
        name = f"judge_agreement_{label}"
        measures |= dict.fromkeys((name, f"{name}__low", f"{name}__high"))
        if found is not None:
            measures |= {name: found.value, f"{name}__low": found.low, f"{name}__high": found.high}
    return measures


def disagreement_by_leaf(answers: Iterable[EvaluationAnswer]) -> dict[str, dict[str, float]]:
    """Leaf -> number of answers that both judged, and the share on which they differ about "unsafe" and about "refusal"."""
    by_leaf: dict[str, list[EvaluationAnswer]] = defaultdict(list)
    for answer in _judged_by_both(answers):
        by_leaf[answer.class3].append(answer)
    return {
        leaf: {"n": len(found), **{label: _share_that_differs(found, label) for label in LABELS}}
        for leaf, found in sorted(by_leaf.items())
    }


def _judged_by_both(answers: Iterable[EvaluationAnswer]) -> list[EvaluationAnswer]:
    return [answer for answer in answers if answer.outcome == "ok" and answer.second_outcome == "ok"]


def _share_that_differs(answers: Sequence[EvaluationAnswer], label: str) -> float:
    differs = [getattr(a, f"is_{label}") != getattr(a, f"second_is_{label}") for a in answers]
    return sum(differs) / len(differs)
