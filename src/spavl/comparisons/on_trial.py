"""The judge of `comparisons` on trial: pairs of responses whose winner is known, asked in both orders among the ordinary ones."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spavl.artifacts.record import read_rows
from spavl.comparisons.asking import comparison_request, prompt_hash, reading_of, sampling_of
from spavl.inference.request import Answer, Request, Sampling
from spavl.judging.gold import Gold, keep_gold, kept_gold
from spavl.judging.trial import drift_measures
from spavl.records import ORDERS, Comparison, ComparisonTrial, GoldPair, stable_hash
from spavl.stage import StageContext

STAGE = "comparisons"
MODEL = "gold"  # in the columns of a part's row that name a model: none of the profile gave these responses


def keep_pairs(ctx: StageContext) -> None:
    """Make tonight's gold pairs of tonight's images and questions, and keep them for shards and seal."""
    config = ctx.config.judgements.gold
    gold = Gold.of_night(ctx.rows("images"), ctx.rows("questions"), config, ctx.store)
    keep_gold(ctx.store, ctx.run_id, STAGE, gold.pairs(), GoldPair)


def asking_id(pair: GoldPair, order: str, run_id: str, judge: str, revision: str, sampling: Sampling) -> str:
    """The id of one asking tonight; with the run in it, no earlier night's answer can stand for it."""
    asked = (run_id, pair.id, order, judge, revision, prompt_hash(pair.axis), dataclasses.asdict(sampling))
    return stable_hash("comparison", *asked)


@dataclass(frozen=True)
class GoldAskings:
    """Every gold pair of tonight in both orders, by the id under which the judge is asked."""

    by_id: Mapping[str, tuple[GoldPair, str]]  # id -> pair and order
    judge: str
    revision: str
    sampling: Sampling

    @classmethod
    def of(cls, ctx: StageContext) -> GoldAskings:
        judge, sampling = ctx.section().judge.name, sampling_of(ctx.section().sampling)
        revision = ctx.revision(judge)
        by_id = {
            asking_id(pair, order, ctx.run_id, judge, revision, sampling): (pair, order)
            for pair in kept_gold(ctx.store, ctx.run_id, STAGE, GoldPair).values()
            for order in ORDERS
        }
        return cls(by_id, judge, revision, sampling)

    def __contains__(self, id: str) -> bool:
        return id in self.by_id

    def work(self) -> Iterator[tuple[str, GoldPair, str, dict[str, str]]]:
        """(id, pair, order, payload) of every asking."""
        for id, (pair, order) in self.by_id.items():
            yield id, pair, order, {"gold": pair.id, "axis": pair.axis, "order": order}

    def request(self, id: str, blob: Callable[[str], bytes], chunk: int) -> Request:
        pair, order = self.by_id[id]
        image = blob(pair.image_id)
        return comparison_request(
            id,
            pair,
            (pair.response_a, pair.response_b),
            pair.axis,
            order,
            image=image,
            sampling=self.sampling,
            chunk=chunk,
        )

    def row(self, id: str, answer: Answer) -> Comparison:
        """The choice as any other; `seal` takes it out of the table."""
        pair, order = self.by_id[id]
        return Comparison(
            id=id,
            question_id=pair.question_id,
            image_id=pair.image_id,
            response_a=f"{pair.id}/a",
            response_b=f"{pair.id}/b",
            model_a=MODEL,
            model_b=MODEL,
            group_a=0,
            group_b=0,
            axis=pair.axis,
            order=order,
            judge=self.judge,
            judge_revision=self.revision,
            prompt_hash=prompt_hash(pair.axis),
            **reading_of(answer, order),
        )

    def trial(self, row: Comparison) -> ComparisonTrial:
        pair, order = self.by_id[row.id]
        return ComparisonTrial(
            id=row.id,
            gold_id=pair.id,
            behaviour=pair.behaviour,
            language=pair.language,
            class1=pair.class1,
            class3=pair.class3,
            question_id=pair.question_id,
            image_id=pair.image_id,
            axis=pair.axis,
            order=order,
            judge=row.judge,
            judge_revision=row.judge_revision,
            prompt_hash=row.prompt_hash,
            outcome=row.outcome,
            error=row.error,
            expected_winner=pair.expected_winner,
            winner=row.winner,
        )


def former_trials(ctx: StageContext) -> list[ComparisonTrial]:
    """The trial of the former dataset version's night; none if there was none, or if it had other columns."""
    record = ctx.previous(STAGE)
    if record is None or "gold" not in record.tables:
        return []
    try:
        return read_rows(ctx.store, record, ComparisonTrial, "gold")
    except ValueError:
        return []  # made by a version of spavl with other columns


def pair_measures(
    trials: Sequence[ComparisonTrial], previous: Iterable[ComparisonTrial] = ()
) -> dict[str, float | None]:
    """The measures `gold_…` of the trial, over askings; one without a readable choice is wrong. None if none was asked."""
    by_axis = {
        axis: [trial for trial in trials if trial.axis == axis] for axis in ("harmlessness", "helpfulness")
    }
    measures: dict[str, float | None] = {
        "gold_num_askings": float(len(trials)),
        "gold_accuracy": _share(trials, is_right),
        "gold_worst_behaviour": _worst(trials, "behaviour"),
        "gold_worst_domain": _worst(trials, "class1"),
        "gold_worst_language": _worst(trials, "language"),
        "gold_unparsable_share": _share(trials, lambda trial: trial.outcome != "ok"),
    }
    for axis, asked in by_axis.items():
        measures |= _with_interval(f"gold_{axis}_accuracy", asked)
    return measures | drift_measures(trials, previous, lambda trial: (trial.outcome, trial.winner))


def is_right(trial: ComparisonTrial) -> bool:
    return trial.winner == trial.expected_winner


def right_of(trials: Iterable[ComparisonTrial], column: str) -> dict[str, dict[str, int]]:
    """Value of the column -> how many askings were right of how many."""
    flags: dict[str, list[bool]] = defaultdict(list)
    for trial in trials:
        flags[getattr(trial, column)].append(is_right(trial))
    return {name: {"right": sum(right), "asked": len(right)} for name, right in sorted(flags.items())}


def _share(trials: Sequence[Any], holds: Callable[[Any], bool]) -> float | None:
    return sum(map(holds, trials)) / len(trials) if trials else None


def _worst(trials: Iterable[ComparisonTrial], column: str) -> float | None:
    return min((of["right"] / of["asked"] for of in right_of(trials, column).values()), default=None)


def _with_interval(name: str, trials: Sequence[ComparisonTrial]) -> dict[str, float | None]:
    from spavl.statistics import rate_interval

    if not trials:
        return dict.fromkeys((name, f"{name}__low", f"{name}__high"))
    found = rate_interval([is_right(trial) for trial in trials], [trial.image_id for trial in trials])
    return {name: found.value, f"{name}__low": found.low, f"{name}__high": found.high}
