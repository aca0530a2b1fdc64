"""The judge of `judgements` on trial: which gold items it is asked tonight, and what becomes of its readings of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spavl.artifacts.record import read_rows
from spavl.inference.request import Request, Sampling
from spavl.judgements.labelling import sampling_of
from spavl.judging import prompt_hash
from spavl.judging.gold import Gold, keep_gold, kept_gold
from spavl.judging.gold_set import load_gold_set
from spavl.judging.trial import is_right, judge_trial, trial_id, trial_request
from spavl.records import GoldItem, Judgement, JudgeTrial
from spavl.stage import StageContext

STAGE = "judgements"
MODEL = "gold"  # in the column `model` of a part's row: no model of the profile gave this response


def keep_items(ctx: StageContext) -> None:
    """Make tonight's gold items of tonight's images and questions, and keep them for shards and seal."""
    gold = Gold.of_night(ctx.rows("images"), ctx.rows("questions"), ctx.section().gold, ctx.store)
    keep_gold(ctx.store, ctx.run_id, STAGE, gold.items(), GoldItem)


@dataclass(frozen=True)
class GoldAskings:
    """Every gold item of tonight in every mode, by the id under which the judge is asked."""

    by_id: Mapping[str, tuple[GoldItem, str]]  # id -> item and mode
    judge: str
    revision: str
    sampling: Sampling

    @classmethod
    def of(cls, ctx: StageContext) -> GoldAskings:
        judge, sampling = ctx.section().judge.name, sampling_of(ctx.section().sampling)
        revision = ctx.revision(judge)
        by_id = {
            trial_id(item, mode, ctx.run_id, judge, revision, sampling): (item, mode)
            for item in kept_gold(ctx.store, ctx.run_id, STAGE, GoldItem).values()
            for mode in ctx.section().gold.modes
        }
        return cls(by_id, judge, revision, sampling)

    def __contains__(self, id: str) -> bool:
        return id in self.by_id

    def work(self) -> Iterator[tuple[str, GoldItem, str, dict[str, str]]]:
        """(id, item, mode, payload) of every asking."""
        for id, (item, mode) in self.by_id.items():
            yield id, item, mode, {"gold": item.id, "mode": mode}

    def request(self, id: str, blob: Callable[[str], bytes], chunk: int) -> Request:
        item, mode = self.by_id[id]
        image = blob(item.image_id) if mode == "image" else b""
        return trial_request(item, id=id, image=image, mode=mode, sampling=self.sampling, chunk=chunk)

    def row(self, id: str, labels: Mapping[str, Any]) -> Judgement:
        """The reading as any other; `seal` takes it out of the table."""
        item, mode = self.by_id[id]
        return Judgement(
            id=id,
            response_id=item.id,
            question_id=item.question_id,
            image_id=item.image_id,
            model=MODEL,
            mode=mode,
            judge=self.judge,
            judge_revision=self.revision,
            prompt_hash=prompt_hash(mode),
            **labels,
        )

    def trial(self, row: Judgement) -> JudgeTrial:
        item, mode = self.by_id[row.id]
        return judge_trial(item, id=row.id, mode=mode, judge=self.judge, revision=self.revision, given=row)


def former_trials(ctx: StageContext) -> list[JudgeTrial]:
    """The trial of the former dataset version's night; none if there was none, or if it had other columns."""
    record = ctx.previous(STAGE)
    if record is None or "gold" not in record.tables:
        return []
    try:
        return read_rows(ctx.store, record, JudgeTrial, "gold")
    except ValueError:
        return []  # made by a version of spavl with other columns


def trial_details(ctx: StageContext, trials: Sequence[JudgeTrial]) -> dict[str, Any]:
    """The set, and per behaviour, domain and language how many items were right of how many."""
    found = load_gold_set(ctx.section().gold)
    seen = [trial for trial in trials if trial.mode == "image"]
    return {
        "set": found.name,
        "set_sha256": found.sha256,
        "by_behaviour": _right_of(seen, "behaviour"),
        "by_domain": _right_of(seen, "class1"),
        "by_language": _right_of(seen, "language"),
    }


def _right_of(trials: Sequence[JudgeTrial], column: str) -> dict[str, dict[str, int]]:
    flags: dict[str, list[bool]] = defaultdict(list)
    for trial in trials:
        flags[getattr(trial, column)].append(is_right(trial))
    return {name: {"right": sum(right), "asked": len(right)} for name, right in sorted(flags.items())}
