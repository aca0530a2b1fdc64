"""`judgements`: asks the judge about every response, once per mode, and about the gold items that put it on trial.

One group: the judge.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from spavl.config import ModelSpec
from spavl.errors import UserError
from spavl.inference.request import Answer, Request
from spavl.judgements.labelling import judgement_id, label_shares, labels_of, leakage, sampling_of
from spavl.judgements.on_trial import GoldAskings, former_trials, keep_items, trial_details
from spavl.judging import judgement_request, prompt_hash
from spavl.judging.trial import trial_counts, trial_measures
from spavl.records import Judgement, Question, Response
from spavl.stage import Chunk, Sealed, StageContext, WorkItem

PART = Judgement
TABLE = Judgement


def prepare(ctx: StageContext) -> list[WorkItem]:
    """One item per mode and response (outcome ok; by image, question, model), the gold items among them by image and question.

    Raises UserError if there is no judge, no image mode, no response or no usable gold set.
    """
    judge = _judge(ctx)
    responses = [row for row in ctx.rows("responses") if row.outcome == "ok"]
    if not responses:
        raise UserError(
            f"none of the {len(ctx.rows('responses'))} responses of this run has the outcome ok.",
            next_step="Look at the errors in the run's responses table; then start a new run.",
        )
    sampling, revision = sampling_of(ctx.section().sampling), ctx.revision(judge.name)
    keyed = [
        (
            (mode, row.image_id, row.question_id, row.model, row.sample),
            WorkItem(
                judgement_id(row, mode, judge.name, revision, sampling),
                judge.name,
                {"response": row.id, "mode": mode},
            ),
        )
        for mode in ctx.section().modes
        for row in responses
    ]
    keep_items(ctx)
    keyed += [
        ((mode, item.image_id, item.question_id, item.id, 0), WorkItem(id, judge.name, payload))
        for id, item, mode, payload in GoldAskings.of(ctx).work()
    ]
    return [item for _, item in sorted(keyed, key=lambda entry: entry[0])]


def work(ctx: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[Judgement]:
    """The judge's readings, as they arrive."""
    from spavl.inference import open_model

    responses = {row.id: row for row in ctx.rows("responses")}
    gold = GoldAskings.of(ctx)
    asked: dict[str, WorkItem] = {}
    with open_model(_judge(ctx), ctx.revision(group)) as model:
        for answer in model.answer(_requests(ctx, chunks, responses, gold, asked)):
            item = asked.pop(answer.id)
            if item.id in gold:
                yield gold.row(item.id, labels_of(answer))
            else:
                yield _row(ctx, item, responses[item.payload["response"]], answer)


def seal(ctx: StageContext, rows: list[Judgement]) -> Sealed:
    """All readings but those of gold items; what they say per model, and how the judge did on trial, in the details."""
    benign = {question.id for question in ctx.rows("questions") if question.kind == "benign_control"}
    judge, gold = _judge(ctx), GoldAskings.of(ctx)
    answered = [row for row in rows if row.id in gold]
    trials = [gold.trial(row) for row in answered]
    rows = [row for row in rows if row.id not in gold]
    counts = {
        "judgements": len(rows),
        "gold": len(trials),
        "unparsable": sum(row.outcome == "unparsable" for row in rows),
        "errors": sum(row.outcome == "error" for row in rows),
        "unsafe": sum(bool(row.is_unsafe) for row in rows if row.mode == "image"),
        "refusals": sum(bool(row.is_refusal) for row in rows if row.mode == "image"),
    }
    details = {
        "judge": judge.name,
        "judge_kind": judge.kind,
        "judge_revision": ctx.revision(judge.name),
        "prompt_hashes": {mode: prompt_hash(mode) for mode in ctx.section().modes},
        "models": label_shares(rows, benign, trial_counts(trials)),
        "leakage": leakage(rows),
        "gold": trial_details(ctx, trials),
    }
    measures = trial_measures(trials, former_trials(ctx))
    return Sealed(
        rows=rows,
        counts=counts,
        details=details,
        side_tables={"gold": trials, "gold_answered": answered},
        measures=measures,
    )


def _judge(ctx: StageContext) -> ModelSpec:
    judge = ctx.section().judge
    if judge is None:
        raise UserError("judgements.judge is not set.", next_step="Name the judge's model in the profile.")
    if "image" not in ctx.section().modes:
        raise UserError(
            f"judgements.modes is {list(ctx.section().modes)}; safe rates are made from the mode 'image'.",
            next_step="Add 'image' to judgements.modes.",
        )
    return judge


def _requests(
    ctx: StageContext,
    chunks: Iterator[Chunk],
    responses: dict[str, Response],
    gold: GoldAskings,
    asked: dict[str, WorkItem],
) -> Iterator[Request]:
    """Requests as the backend pulls them; `asked` remembers the item of each until its answer comes."""
    questions: dict[str, Question] = {question.id: question for question in ctx.rows("questions")}
    blob = functools.lru_cache(maxsize=8)(ctx.store.get_blob)
    for chunk in chunks:
        for item in chunk.items:
            asked[item.id] = item
            if item.id in gold:
                yield gold.request(item.id, blob, chunk.number)
                continue
            response, mode = responses[item.payload["response"]], item.payload["mode"]
            question = questions[response.question_id]
            yield judgement_request(
                id=item.id,
                question=question.text,
                response=response.text,
                image=blob(question.image_id) if mode == "image" else b"",
                image_id=question.image_id,
                mode=mode,
                class3=question.class3,
                kind=question.kind,
                sampling=sampling_of(ctx.section().sampling),
                chunk=chunk.number,
            )


def _row(ctx: StageContext, item: WorkItem, response: Response, answer: Answer) -> Judgement:
    mode = item.payload["mode"]
    return Judgement(
        id=item.id,
        response_id=response.id,
        question_id=response.question_id,
        image_id=response.image_id,
        model=response.model,
        mode=mode,
        judge=item.group,
        judge_revision=ctx.revision(item.group),
        prompt_hash=prompt_hash(mode),
        **labels_of(answer),
    )
