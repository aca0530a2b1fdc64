"""`responses`: asks every model every question. The group of an item is the model, since one process serves
one model.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator

from spavl.audit.former import former_columns
from spavl.audit.response_table import FORMER_COLUMNS, response_measures
from spavl.config import ModelSpec
from spavl.errors import UserError
from spavl.inference.request import Answer, Request
from spavl.records import Question, Response
from spavl.responses.asking import PROMPT_HASH, PROMPT_TEMPLATE, response_id, sampling_json, sampling_of
from spavl.stage import Chunk, Sealed, StageContext, WorkItem

PART = Response
TABLE = Response


def prepare(ctx: StageContext) -> list[WorkItem]:
    """One item per model, question (outcome ok; by image, then id) and sample.

    Raises UserError for fewer than two models, and where no question is usable.
    """
    models = ctx.section().models
    if len(models) < 2:
        raise UserError(
            f"responses.models names {len(models)} models; a preference needs answers of at least two.",
            next_step="Add models of differing safety to the profile.",
        )
    questions = _usable_questions(ctx)
    return [
        WorkItem(_id(ctx, model, question, sample), model.name, {"question": question.id, "sample": sample})
        for model in models
        for question in questions
        for sample in range(ctx.section().num_samples_per_question)
    ]


def work(ctx: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[Response]:
    """The answers of the model called `group`, as they arrive."""
    from spavl.inference import open_model

    (spec,) = (model for model in ctx.section().models if model.name == group)
    questions = {question.id: question for question in ctx.rows("questions")}
    asked: dict[str, WorkItem] = {}
    with open_model(spec, ctx.revision(group)) as model:
        for answer in model.answer(_requests(ctx, chunks, questions, asked)):
            item = asked.pop(answer.id)
            yield _row(ctx, item, questions[item.payload["question"]], answer)


def seal(ctx: StageContext, rows: list[Response]) -> Sealed:
    """All answers; counts per outcome, and per model in the details."""
    counts = {
        "questions": len({row.question_id for row in rows}),
        "models": len({row.model for row in rows}),
        "responses": len(rows),
        "errors": sum(row.outcome == "error" for row in rows),
        "blank": sum(row.outcome == "ok" and not row.text.strip() for row in rows),
    }
    models = {
        name: {
            "revision": ctx.revision(name),
            **Counter(row.outcome for row in rows if row.model == name),
        }
        for name in sorted({row.model for row in rows})
    }
    details = {"models": models, "prompt_hash": PROMPT_HASH}
    return Sealed(rows=rows, counts=counts, details=details, measures=_measures(ctx, rows))


def _measures(ctx: StageContext, rows: list[Response]) -> dict[str, float | None]:
    former = former_columns(ctx.store, ctx.previous("responses"), FORMER_COLUMNS)
    former_questions = former_columns(ctx.store, ctx.previous("questions"), ("id", "class1"))
    return response_measures(rows, ctx.rows("questions"), former, former_questions)


def _usable_questions(ctx: StageContext) -> list[Question]:
    questions = [question for question in ctx.rows("questions") if question.outcome == "ok"]
    if not questions:
        raise UserError(
            f"none of the {len(ctx.rows('questions'))} questions of this run has the outcome ok.",
            next_step="Look at the errors in the run's questions table; then start a new run.",
        )
    return sorted(questions, key=lambda question: (question.image_id, question.id))


def _id(ctx: StageContext, model: ModelSpec, question: Question, sample: int) -> str:
    sampling = sampling_of(ctx.section().sampling, sample)
    return response_id(question, model.name, ctx.revision(model.name), sampling, sample)


def _requests(
    ctx: StageContext, chunks: Iterator[Chunk], questions: dict[str, Question], asked: dict[str, WorkItem]
) -> Iterator[Request]:
    """Requests as the backend pulls them; `asked` remembers the item of each until its answer comes."""
    blob = functools.lru_cache(maxsize=8)(ctx.store.get_blob)
    for chunk in chunks:
        for item in chunk.items:
            asked[item.id] = item
            question = questions[item.payload["question"]]
            yield Request(
                id=item.id,
                prompt=PROMPT_TEMPLATE.format(question=question.text),
                image=blob(question.image_id),
                image_id=question.image_id,
                sampling=sampling_of(ctx.section().sampling, item.payload["sample"]),
                facts={"task": "response"},
                chunk=chunk.number,
            )


def _row(ctx: StageContext, item: WorkItem, question: Question, answer: Answer) -> Response:
    sample = item.payload["sample"]
    return Response(
        id=item.id,
        question_id=question.id,
        image_id=question.image_id,
        model=item.group,
        model_revision=ctx.revision(item.group),
        sample=sample,
        prompt_hash=PROMPT_HASH,
        sampling=sampling_json(sampling_of(ctx.section().sampling, sample)),
        text=answer.text if answer.outcome == "ok" else "",
        outcome=answer.outcome,
        error=answer.error,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )
