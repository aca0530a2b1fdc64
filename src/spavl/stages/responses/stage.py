"""`responses`: asks every model every question. The group of an item is the model, since one process serves
one model.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spavl.audit.response_table import response_measures
from spavl.audit.tallies import former_view
from spavl.errors import UserError
from spavl.inference.asking import ask
from spavl.inference.request import Answer, Request
from spavl.stage import Answered, Chunk, Items, Sealed, StageContext, WorkItem
from spavl.stages.responses.asking import (
    PROMPT_HASH,
    PROMPT_TEMPLATE,
    json_sql,
    response_id_sql,
    sampling_json,
    sampling_of,
)
from spavl.stages.responses.counting import counts_of, outcomes_by_model
from spavl.stages.responses.rows import Response

if TYPE_CHECKING:
    import pyarrow as pa

PART = Response


def prepare(ctx: StageContext) -> Items:
    """One item per model, question (outcome ok; by image, then id) and sample, in that order.

    Raises UserError for fewer than two models, and if no question is usable.
    """
    models = ctx.section().models
    if len(models) < 2:
        raise UserError(
            f"responses.models names {len(models)} models; a preference needs answers of at least two.",
            next_step="Add models of differing safety to the profile.",
        )
    ctx.tables.open("questions")
    _refuse_unusable(ctx)
    ctx.tables.view("models", _models(ctx))
    ctx.tables.view("samples", _samples(ctx))
    relation = ctx.tables.sql(
        f"""WITH asked AS (
            SELECT id AS question_id, text, image_id, {json_sql("id", "text", "image_id")} AS question_json,
                row_number() OVER (ORDER BY image_id, id) AS question_place
            FROM questions WHERE outcome = 'ok'
        ), answering AS (SELECT *, {json_sql("model", "revision")} AS model_json FROM models
        ), drawn AS (SELECT *, {json_sql("sampling")} || ',' || CAST(sample AS VARCHAR) AS sample_json FROM samples)
        SELECT {response_id_sql()} AS id, model AS "group", question_id, text, image_id, sample,
            (model_place * (SELECT count(*) + 1 FROM questions) + question_place) * (SELECT count(*) FROM samples) + sample
                AS place_asked
        FROM asked, answering, drawn"""
    )
    return Items(relation, order=("place_asked",))


def work(ctx: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[Response]:
    """The answers of the model called `group`, as they arrive."""
    (spec,) = (model for model in ctx.section().models if model.name == group)
    revision = ctx.revision(group)
    image = functools.lru_cache(maxsize=8)(ctx.store.get_blob)
    sampling = functools.cache(functools.partial(sampling_of, ctx.section().sampling))
    written = functools.cache(lambda sample: sampling_json(sampling(sample)))

    def request_of(item: WorkItem, chunk: int) -> Request:
        asked = item.payload
        return Request(
            id=item.id,
            prompt=PROMPT_TEMPLATE.format(question=asked["text"]),
            image=image(asked["image_id"]),
            image_id=asked["image_id"],
            sampling=sampling(asked["sample"]),
            facts={"task": "response"},
            chunk=chunk,
        )

    def row_of(item: WorkItem, answer: Answer) -> Response:
        return _row(item, revision, written(item.payload["sample"]), answer)

    return ask(spec, revision, chunks, request_of, row_of)


def seal(ctx: StageContext, answered: Answered) -> Sealed:
    """All answers; counts per outcome, and per model in the details."""
    tables = ctx.tables
    tables.view("answered", answered.relation())
    tables.open("questions")
    outcomes = outcomes_by_model(tables, "answered")
    models = {name: {"revision": ctx.revision(name), **found} for name, found in outcomes.items()}
    former = (former_view(tables, name) for name in ("responses", "questions"))
    return Sealed(
        rows=None,
        counts=counts_of(tables, "answered", outcomes),
        details={"models": models, "prompt_hash": PROMPT_HASH},
        measures=response_measures(tables, "answered", "questions", *former),
    )


def _refuse_unusable(ctx: StageContext) -> None:
    num_usable, num_questions = ctx.tables.sql(
        "SELECT count(*) FILTER (outcome = 'ok'), count(*) FROM questions"
    ).fetchall()[0]
    if not num_usable:
        raise UserError(
            f"none of the {num_questions} questions of this run has the outcome ok.",
            next_step="Look at the errors in the run's questions table; then start a new run.",
        )


def _models(ctx: StageContext) -> pa.Table:
    """The models in the order of the profile: model_place, model, revision."""
    import pyarrow as pa

    names = [model.name for model in ctx.section().models]
    revisions = [ctx.revision(name) for name in names]
    return pa.table({"model_place": range(len(names)), "model": names, "revision": revisions})


def _samples(ctx: StageContext) -> pa.Table:
    """How each sample is drawn: sample, sampling."""
    import pyarrow as pa

    numbers = range(ctx.section().num_samples_per_question)
    drawn = [sampling_json(sampling_of(ctx.section().sampling, number)) for number in numbers]
    return pa.table({"sample": numbers, "sampling": drawn})


def _row(item: WorkItem, revision: str, sampling: str, answer: Answer) -> Response:
    return Response(
        id=item.id,
        question_id=item.payload["question_id"],
        image_id=item.payload["image_id"],
        model=item.group,
        model_revision=revision,
        sample=item.payload["sample"],
        prompt_hash=PROMPT_HASH,
        sampling=sampling,
        text=answer.text if answer.outcome == "ok" else "",
        outcome=answer.outcome,
        error=answer.error,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )
