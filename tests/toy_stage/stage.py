"""`captions`: asks one model to describe every image."""

from __future__ import annotations

from collections.abc import Iterator

from spavl.stages.captions.rows import Caption

from spavl.inference.asking import ask
from spavl.inference.request import Answer, Request, Sampling
from spavl.sql import Text, literal, stable_hash_sql
from spavl.stage import Answered, Chunk, Items, Sealed, StageContext, WorkItem

PART = Caption


def prepare(ctx: StageContext) -> Items:
    """One item per image."""
    spec = ctx.section().model
    ctx.tables.open("images")
    model = f"{literal(spec.name)} AS model, {literal(ctx.revision(spec.name))} AS revision"
    ctx.tables.view("asked", f"SELECT id AS image_id, {model} FROM images")
    identity = stable_hash_sql(Text("image_id"), Text("model"), Text("revision"))
    return Items(
        ctx.tables.sql(f'SELECT {identity} AS id, model AS "group", image_id FROM asked'), order=("image_id",)
    )


def work(ctx: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[Caption]:
    """The captions, as they arrive."""
    section = ctx.section()

    def request_of(item: WorkItem, chunk: int) -> Request:
        image_id = item.payload["image_id"]
        return Request(
            id=item.id,
            prompt="Describe the image.",
            image=ctx.store.get_blob(image_id),
            image_id=image_id,
            sampling=Sampling(**section.sampling.model_dump()),
            facts={"task": "caption"},
            chunk=chunk,
        )

    def row_of(item: WorkItem, answer: Answer) -> Caption:
        return Caption(item.id, item.payload["image_id"], answer.text, answer.outcome, answer.error)

    return ask(section.model, ctx.revision(group), chunks, request_of, row_of)


def seal(ctx: StageContext, answered: Answered) -> Sealed:
    """All captions as they are."""
    ctx.tables.view("answered", answered.relation())
    num_distinct = ctx.tables.value("SELECT count(DISTINCT text) FROM answered")
    return Sealed(rows=None, measures={"distinct_captions": float(num_distinct)})
