"""The judges of evaluation on trial: the gold items of the night that made the dataset version, asked among all other requests.

They are part of the aligned model's work, since its judge is open there anyway, and spread evenly over it. Their rows are
judged answers like the others, with benchmark and model "gold"; `seal` takes them out of every score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from spavl.artifacts.record import read_rows
from spavl.contestants import ALIGNED, BASE
from spavl.inference.request import Request
from spavl.judging.gold import kept_gold
from spavl.judging.trial import corrected, judge_trial, trial_counts, trial_id, trial_measures, trial_request
from spavl.stage import StageContext, WorkItem
from spavl.stages.evaluation.askings import HELD_OUT_HARM, JUDGE_MODE, OWN, Terms
from spavl.stages.evaluation.rows import EvaluationAnswer
from spavl.stages.evaluation.verdicts import labels_of
from spavl.stages.judgements.rows import GoldItem, JudgeTrial

GOLD = "gold"
PURPOSE = "evaluation"
CORRECTED = {"aligned_unsafe_rate_corrected": ALIGNED, "base_unsafe_rate_corrected": BASE}


@dataclass(frozen=True)
class GoldAsking:
    """One gold item, under the id that it is asked with tonight."""

    id: str
    item: GoldItem
    chunk: int = 0

    def request(self, images: Mapping[str, bytes], terms: Terms) -> Request:
        image = images[self.item.image_id]
        sampling = terms.judge_sampling
        return trial_request(
            self.item, id=self.id, image=image, mode=JUDGE_MODE, sampling=sampling, chunk=self.chunk
        )


def gold_askings(context: StageContext, terms: Terms) -> dict[str, GoldAsking]:
    """Every gold item of the dataset version's night, by the id that it is asked with.

    Raises UserError if that night had none: it is older than the trial of judges.
    """
    items = kept_gold(context.store, context.record("dataset").run_id, "judgements", GoldItem)
    asked = [
        GoldAsking(
            trial_id(
                item,
                JUDGE_MODE,
                context.run_id,
                terms.judge,
                terms.judge_revision,
                terms.judge_sampling,
                PURPOSE,
            ),
            item,
        )
        for item in items.values()
    ]
    return {asking.id: asking for asking in asked}


def spread(items: Sequence[WorkItem], among: Sequence[WorkItem]) -> list[WorkItem]:
    """All items, the first evenly among the second, whose order stays."""
    placed = [((number + 0.5) / len(items), 1, number) for number in range(len(items))]
    placed += [((number + 0.5) / len(among), 0, number) for number in range(len(among))]
    return [(items if is_gold else among)[number] for _, is_gold, number in sorted(placed)]


# --------------------------------------------------------------------------------------------------------------- results


def trials_of(
    rows: Iterable[EvaluationAnswer], asked: Mapping[str, GoldAsking]
) -> tuple[list[JudgeTrial], list[JudgeTrial]]:
    """The trials of the first and of the second judge; none of a second one that there is not."""
    rows = list(rows)
    second = [row for row in rows if row.second_judge is not None]
    return _trials(rows, asked, _first), _trials(second, asked, _second)


def gold_measures(
    context: StageContext, first: Sequence[JudgeTrial], second: Sequence[JudgeTrial]
) -> dict[str, float | None]:
    """`gold_…` of the judge, and `second_gold_…` of the second one if there is one."""
    measures = trial_measures(first, _former(context, "gold"))
    if second:
        of_second = trial_measures(second, _former(context, "second_gold"))
        measures |= {f"second_{name}": value for name, value in of_second.items()}
    return measures


def corrected_measures(
    answers: Sequence[EvaluationAnswer], gold: Sequence[EvaluationAnswer], asked: Mapping[str, GoldAsking]
) -> dict[str, float | None]:
    """Unsafe rates of base and aligned (greedy), corrected for the errors that the judges' trial showed; 95 % intervals.

    With two judges an answer is unsafe if either says so, in the trial as in the rates.
    """
    import numpy as np

    counts = trial_counts(_trials(list(gold), asked, _either))
    measures: dict[str, float | None] = {}
    for name, role in CORRECTED.items():
        own = [
            answer
            for answer in answers
            if (answer.model, answer.benchmark, answer.decoding, answer.condition)
            == (role, HELD_OUT_HARM, "greedy", OWN)
        ]
        unsafe = labels_of(own).unsafe
        judged = np.flatnonzero(~np.isnan(unsafe))
        hits = [bool(unsafe[number]) for number in judged]
        found = corrected(hits, [own[number].image_id for number in judged], counts)
        measures |= dict.fromkeys((name, f"{name}__low", f"{name}__high"))
        if found is not None:
            measures |= {name: found.value, f"{name}__low": found.low, f"{name}__high": found.high}
    return measures


def _trials(
    rows: Sequence[EvaluationAnswer],
    asked: Mapping[str, GoldAsking],
    given: Callable[[EvaluationAnswer], Any],
) -> list[JudgeTrial]:
    return [
        judge_trial(
            asked[row.id].item,
            id=row.id,
            mode=JUDGE_MODE,
            judge=(read := given(row)).judge,
            revision=read.judge_revision,
            given=read,
        )
        for row in rows
    ]


def _first(row: EvaluationAnswer) -> EvaluationAnswer:
    return row


def _second(row: EvaluationAnswer) -> Any:
    return SimpleNamespace(
        judge=row.second_judge, judge_revision=row.second_judge_revision, outcome=row.second_outcome, error=None,
        is_unsafe=row.second_is_unsafe, is_refusal=row.second_is_refusal, helpfulness=row.second_helpfulness,
    )  # fmt: skip


def _either(row: EvaluationAnswer) -> Any:
    """Both judges as one: unsafe if either says so; no verdict if that is not known."""
    unsafe = labels_of([row]).unsafe[0]
    is_known = unsafe == unsafe
    return SimpleNamespace(
        judge=row.judge, judge_revision=row.judge_revision, outcome="ok" if is_known else "unparsable", error=None,
        is_unsafe=bool(unsafe) if is_known else None, is_refusal=row.is_refusal, helpfulness=row.helpfulness,
    )  # fmt: skip


def _former(context: StageContext, name: str) -> list[JudgeTrial]:
    """The trial in the champion's evaluation; none if there was none, or if it had other columns."""
    record = context.previous("evaluation")
    if record is None or name not in record.tables:
        return []
    try:
        return read_rows(context.store, record, JudgeTrial, name)
    except ValueError:
        return []  # made by a version of spavl with other columns
