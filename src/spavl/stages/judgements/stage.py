"""`judgements`: asks the judge about every response, once per mode, and about the gold items that put it on trial.

One group: the judge.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from spavl.errors import UserError
from spavl.inference.asking import ask
from spavl.inference.request import Answer, Request
from spavl.judging import judgement_request, prompt_hash
from spavl.judging.asker import Asker
from spavl.judging.gold import Gold
from spavl.judging.gold_set import load_gold_set
from spavl.judging.on_trial import ANSWERED, Askings, former_trials, keep_tonights
from spavl.judging.shares import right_of
from spavl.judging.trial import is_right, judge_trial, trial_counts, trial_id, trial_measures
from spavl.sql import refuse_strays
from spavl.stage import Answered, Chunk, Items, Sealed, StageContext, WorkItem
from spavl.stages.judgements.labelling import labels_of
from spavl.stages.judgements.listing import gold_table, items
from spavl.stages.judgements.rows import GoldItem, Judgement, JudgeTrial
from spavl.stages.judgements.summary import label_counts, label_shares, leakage

PART = Judgement
STAGE = "judgements"


def prepare(ctx: StageContext) -> Items:
    """One item per mode and response (outcome ok; by image, question, model), the gold items among them by image and question.

    Raises UserError if there is no judge, no image mode, no response or no usable gold set, or a response lacks its question.
    """
    asker = _asker(ctx)
    for stage in ("images", "questions", "responses"):
        ctx.tables.open(stage)
    _refuse_unanswered(ctx)
    refuse_strays(ctx.tables, "responses", "question_id", "questions")
    keep_tonights(ctx, STAGE, GoldItem, Gold.items)
    ctx.tables.view("gold", gold_table(_gold(ctx, asker)))
    return items(ctx.tables, ctx.section().modes, asker)


def work(ctx: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[Judgement]:
    """The judge's readings, as they arrive."""
    asker = _asker(ctx)
    blob = functools.lru_cache(maxsize=8)(ctx.store.get_blob)

    def request_of(item: WorkItem, chunk: int) -> Request:
        asked = item.payload
        return judgement_request(
            id=item.id,
            image=blob(asked["image_id"]) if asked["mode"] == "image" else b"",
            **{name: asked[name] for name in ("question", "response", "image_id", "mode", "class3", "kind")},
            sampling=asker.sampling,
            chunk=chunk,
        )

    def row_of(item: WorkItem, answer: Answer) -> Judgement:
        asked = item.payload
        return Judgement(
            id=item.id,
            **{name: asked[name] for name in ("response_id", "question_id", "image_id", "model", "mode")},
            judge=asker.name,
            judge_revision=asker.revision,
            prompt_hash=prompt_hash(asked["mode"]),
            **labels_of(answer),
        )

    return ask(asker.spec, asker.revision, chunks, request_of, row_of)


def seal(ctx: StageContext, answered: Answered) -> Sealed:
    """All readings but those of gold items; what they say per model, and how the judge did on trial, in the details."""
    asker, tables = _asker(ctx), ctx.tables
    trials = _trials(ctx, asker, answered.rows(ANSWERED))
    tables.open("questions")
    tables.view("answered", answered.relation())
    details = {
        **asker.details(),
        "prompt_hashes": {mode: prompt_hash(mode) for mode in ctx.section().modes},
        "models": label_shares(tables, trial_counts(trials)),
        "leakage": leakage(tables),
        "gold": _trial_details(ctx, trials),
    }
    return Sealed(
        rows=None,
        counts={"judgements": answered.num_rows(), "gold": len(trials), **label_counts(tables)},
        details=details,
        side_tables={"gold": trials},
        measures=trial_measures(trials, former_trials(ctx, STAGE, JudgeTrial)),
    )


def _asker(ctx: StageContext) -> Asker:
    asker = Asker.of(ctx, STAGE)
    if "image" not in ctx.section().modes:
        raise UserError(
            f"judgements.modes is {list(ctx.section().modes)}; safe rates are made from the mode 'image'.",
            next_step="Add 'image' to judgements.modes.",
        )
    return asker


def _refuse_unanswered(ctx: StageContext) -> None:
    counted = "SELECT count(*), count(*) FILTER (outcome = 'ok') FROM responses"
    ((num_responses, num_answered),) = ctx.tables.sql(counted).fetchall()
    if not num_answered:
        raise UserError(
            f"none of the {num_responses} responses of this run has the outcome ok.",
            next_step="Look at the errors in the run's responses table; then start a new run.",
        )


def _gold(ctx: StageContext, asker: Asker) -> Askings[GoldItem]:
    """Tonight's gold items in every mode, by the id under which the judge is asked."""

    def id_of(item: GoldItem, mode: str) -> str:
        return trial_id(item, mode, ctx.run_id, asker.name, asker.revision, asker.sampling)

    return Askings.kept(ctx, STAGE, GoldItem, ctx.section().gold.modes, id_of)


def _trials(ctx: StageContext, asker: Asker, rows: Sequence[Judgement]) -> list[JudgeTrial]:
    asked = _gold(ctx, asker).by_id
    return [
        judge_trial(item, id=row.id, mode=mode, judge=asker.name, revision=asker.revision, given=row)
        for row in rows
        for item, mode in (asked[row.id],)
    ]


def _trial_details(ctx: StageContext, trials: Sequence[JudgeTrial]) -> dict[str, Any]:
    """The set, and per behaviour, domain and language how many items were right of how many."""
    found = load_gold_set(ctx.section().gold)
    seen = [trial for trial in trials if trial.mode == "image"]
    return {
        "set": found.name,
        "set_sha256": found.sha256,
        "by_behaviour": right_of(seen, "behaviour", is_right),
        "by_domain": right_of(seen, "class1", is_right),
        "by_language": right_of(seen, "language", is_right),
    }
