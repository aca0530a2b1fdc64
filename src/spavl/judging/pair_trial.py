"""A judge of comparisons on trial: pairs of responses whose winner is known, and what its choices come to as measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from spavl.judging.shares import share, with_interval, worst
from spavl.judging.trial import drift_measures
from spavl.records import stable_hash
from spavl.stages.comparisons.rows import AXES, Comparison, ComparisonTrial, GoldPair


def pair_trial_id(pair: GoldPair, order: str, run_id: str, said_by: Sequence[Any]) -> str:
    """The id of one asking tonight of the judge `said_by` (`Asker.id_parts`).

    With the run in it, no earlier night's answer can stand for it.
    """
    return stable_hash("comparison", run_id, pair.id, order, *said_by)


def pair_trial(pair: GoldPair, order: str, given: Comparison) -> ComparisonTrial:
    """The row of a trial: what the judge said, `given`, of the pair in this order."""
    return ComparisonTrial(
        id=given.id,
        gold_id=pair.id,
        behaviour=pair.behaviour,
        language=pair.language,
        class1=pair.class1,
        class3=pair.class3,
        question_id=pair.question_id,
        image_id=pair.image_id,
        axis=pair.axis,
        order=order,
        judge=given.judge,
        judge_revision=given.judge_revision,
        prompt_hash=given.prompt_hash,
        outcome=given.outcome,
        error=given.error,
        expected_winner=pair.expected_winner,
        winner=given.winner,
    )


def pair_measures(
    trials: Sequence[ComparisonTrial], previous: Iterable[ComparisonTrial] = ()
) -> dict[str, float | None]:
    """The measures `gold_…` of the trial, over askings; one without a readable choice is wrong. None if none was asked."""
    measures: dict[str, float | None] = {
        "gold_num_askings": float(len(trials)),
        "gold_accuracy": share(trials, is_pair_right),
        "gold_worst_behaviour": worst(trials, "behaviour", is_pair_right),
        "gold_worst_domain": worst(trials, "class1", is_pair_right),
        "gold_worst_language": worst(trials, "language", is_pair_right),
        "gold_unparsable_share": share(trials, lambda trial: trial.outcome != "ok"),
    }
    for axis in AXES:
        asked = [trial for trial in trials if trial.axis == axis]
        measures |= with_interval(f"gold_{axis}_accuracy", asked, is_pair_right)
    return measures | drift_measures(trials, previous, lambda trial: (trial.outcome, trial.winner))


def is_pair_right(trial: ComparisonTrial) -> bool:
    return trial.winner == trial.expected_winner
