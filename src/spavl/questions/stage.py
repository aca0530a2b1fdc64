"""Stage `questions`: prepare lists what to ask, work asks the generator (or takes the provided text), seal counts."""

from __future__ import annotations

import collections
import functools
from collections.abc import Iterator
from typing import Any

from spavl.audit.former import former_columns
from spavl.audit.question_table import FORMER_COLUMNS, question_measures
from spavl.config import QuestionsConfig
from spavl.errors import UserError
from spavl.inference import Answer, Request, Sampling, open_model
from spavl.inference.reply import storable
from spavl.questions.prompt import RESPONSE_SCHEMA, prompt_hash, read_question, render
from spavl.questions.worklist import PROVIDED, PROVIDED_PROMPT, Asked, asked, check_config
from spavl.records import Image, Question, stable_hash
from spavl.stage import Chunk, Sealed, StageContext, WorkItem
from spavl.taxonomy import load_taxonomy

PART = TABLE = Question


def prepare(context: StageContext) -> list[WorkItem]:
    """One item per question; raises UserError where the config is wrong or leaves nothing to ask."""
    config: QuestionsConfig = context.section()
    check_config(config)
    items = [_item(context, one) for one in asked(context.rows("images"), config)]
    if not items:
        raise UserError(
            "there is no question to ask: no image came with one, and the config asks for none.",
            next_step="Set questions.generator, and questions.kinds or num_benign_controls.",
        )
    return items


def work(context: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[Question]:
    """One Question per item: the provided text, or the generator's."""
    images = {image.id: image for image in context.rows("images")}
    if group == PROVIDED:
        for chunk in chunks:
            yield from (_provided(item, images[item.payload["image_id"]]) for item in chunk.items)
        return
    config: QuestionsConfig = context.section()
    waiting: dict[str, WorkItem] = {}
    with open_model(config.generator, context.revision(config.generator.name)) as model:
        for answer in model.answer(_requests(context, images, chunks, waiting)):
            item = waiting.pop(answer.id)
            yield _generated(context, item, images[item.payload["image_id"]], answer)


def seal(context: StageContext, rows: list[Question]) -> Sealed:
    """The questions as they are, with counts per kind, outcome and origin."""
    images = context.rows("images")
    with_question = {row.image_id for row in rows}
    counts = {
        "questions": len(rows),
        "provided": sum(row.generator == PROVIDED for row in rows),
        "images_without_question": sum(image.id not in with_question for image in images),
        **dict(sorted(collections.Counter(f"kind.{row.kind}" for row in rows).items())),
        **dict(sorted(collections.Counter(f"outcome.{row.outcome}" for row in rows).items())),
    }
    former = former_columns(context.store, context.previous("questions"), FORMER_COLUMNS)
    return Sealed(rows, counts, measures=question_measures(rows, former, context.config.dataset.may_miss))


def _item(context: StageContext, one: Asked) -> WorkItem:
    if one.is_provided:
        image = one.image
        parts = (image.id, image.class3, one.kind, PROVIDED, image.provided_question)
        return WorkItem(stable_hash("questions", *parts), PROVIDED, {"image_id": image.id, "kind": one.kind})
    config: QuestionsConfig = context.section()
    generator = config.generator
    sampling = _sampling(config, one.number)
    # The rendered prompt holds the leaf's names, so a corrected taxonomy asks anew
    prompt = render(one.kind, one.image.class3, one.number, load_taxonomy())
    parts = [
        one.image.id,
        one.image.class3,
        one.kind,
        one.number,
        generator.name,
        context.revision(generator.name),
    ]
    parts += [stable_hash(prompt), config.sampling.model_dump(), sampling.seed, config.max_chars]
    payload = {"image_id": one.image.id, "kind": one.kind, "number": one.number}
    return WorkItem(stable_hash("questions", *parts), generator.name, payload)


def _sampling(config: QuestionsConfig, number: int) -> Sampling:
    """The config's sampling; each further question about one image has its own seed."""
    given = config.sampling
    return Sampling(given.temperature, given.top_p, given.max_tokens, given.seed + number - 1)


def _requests(
    context: StageContext, images: dict[str, Image], chunks: Iterator[Chunk], waiting: dict[str, WorkItem]
) -> Iterator[Request]:
    """Requests one by one as the model pulls them; each item stays in `waiting` until its answer comes."""
    config: QuestionsConfig = context.section()
    blob = functools.lru_cache(maxsize=1)(context.store.get_blob)  # an image's questions follow each other
    for chunk in chunks:
        for item in chunk.items:
            waiting[item.id] = item
            image, kind, number = (
                images[item.payload["image_id"]],
                item.payload["kind"],
                item.payload["number"],
            )
            sampling = _sampling(config, number)
            yield Request(
                id=item.id,
                prompt=render(kind, image.class3, number, load_taxonomy()),
                image=blob(image.id),
                image_id=image.id,
                sampling=sampling,
                response_schema=RESPONSE_SCHEMA,
                facts={"task": "question", "class3": image.class3, "kind": kind, "seed": str(sampling.seed)},
                chunk=chunk.number,
            )


def _provided(item: WorkItem, image: Image) -> Question:
    return Question(
        **_about(item, image),
        text=image.provided_question,
        generator=PROVIDED,
        generator_revision=image.source,
        prompt_hash=PROVIDED_PROMPT,
        seed=0,
        outcome="ok",
        error=None,
        raw_reply=None,
    )


def _generated(context: StageContext, item: WorkItem, image: Image, answer: Answer) -> Question:
    """The row of one answer; a reply without a usable question is "unparsable", none at all is "error"."""
    config: QuestionsConfig = context.section()
    text, error, outcome = "", answer.error, answer.outcome
    if outcome == "ok":
        text, error = read_question(answer.text, config.max_chars)
        outcome = "ok" if error is None else "unparsable"
    return Question(
        **_about(item, image),
        text=text,
        generator=config.generator.name,
        generator_revision=context.revision(config.generator.name),
        prompt_hash=prompt_hash(item.payload["kind"]),
        seed=_sampling(config, item.payload["number"]).seed,
        outcome=outcome,
        error=error,
        raw_reply=storable(answer.text) if answer.text is not None else None,
    )


def _about(item: WorkItem, image: Image) -> dict[str, Any]:
    classes = {"class1": image.class1, "class2": image.class2, "class3": image.class3}
    return {"id": item.id, "image_id": image.id, "kind": item.payload["kind"], **classes}
