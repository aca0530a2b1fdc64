"""Stage `questions`: prepare lists what to ask, work asks the generator (or takes the provided text), seal counts."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spavl.audit.question_table import question_measures
from spavl.audit.tallies import former_view, tally
from spavl.errors import UserError
from spavl.inference.asking import ask
from spavl.inference.reply import storable
from spavl.inference.request import Answer, Request
from spavl.records import to_table
from spavl.stage import Answered, Chunk, Items, Sealed, StageContext, WorkItem
from spavl.stages.questions.config import QuestionsConfig
from spavl.stages.questions.prompt import RESPONSE_SCHEMA, prompt_hash, read_question, render
from spavl.stages.questions.rows import Question
from spavl.stages.questions.worklist import (
    PROVIDED,
    PROVIDED_PROMPT,
    Asked,
    asked,
    check_config,
    items_sql,
    sampling_of,
)
from spavl.taxonomy import load_taxonomy

if TYPE_CHECKING:
    from spavl.stage import Tables

PART = Question


def prepare(context: StageContext) -> Items:
    """One item per question; raises UserError if the config is wrong or leaves nothing to ask."""
    config: QuestionsConfig = context.section()
    check_config(config)
    tables = context.tables
    tables.open("images")
    classes = tables.sql("SELECT DISTINCT class1, class3 FROM images WHERE provided_question IS NULL")
    tables.view("asked_of_class", to_table(list(asked(classes.fetchall(), config)), Asked))
    if not _num_questions(tables):
        raise UserError(
            "there is no question to ask: no image came with one, and the config asks for none.",
            next_step="Set questions.generator, and questions.kinds or num_benign_controls.",
        )
    revision = context.revision(config.generator.name) if config.generator else ""
    return Items(tables.sql(items_sql(config, revision)), order=("place_asked",))


def work(context: StageContext, group: str, chunks: Iterator[Chunk]) -> Iterator[Question]:
    """One Question per item: the provided text, or the generator's."""
    if group == PROVIDED:
        return (_provided(item) for chunk in chunks for item in chunk.items)
    config: QuestionsConfig = context.section()
    revision = context.revision(group)
    image = functools.lru_cache(maxsize=1)(context.store.get_blob)  # an image's questions follow each other
    prompt = functools.cache(functools.partial(render, taxonomy=load_taxonomy()))
    sampling = functools.cache(functools.partial(sampling_of, config))

    def request_of(item: WorkItem, chunk: int) -> Request:
        asked = item.payload
        kind, class3, drawn = asked["kind"], asked["class3"], sampling(asked["number"])
        return Request(
            id=item.id,
            prompt=prompt(kind, class3, asked["number"]),
            image=image(asked["image_id"]),
            image_id=asked["image_id"],
            sampling=drawn,
            response_schema=RESPONSE_SCHEMA,
            facts={"task": "question", "class3": class3, "kind": kind, "seed": str(drawn.seed)},
            chunk=chunk,
        )

    def row_of(item: WorkItem, answer: Answer) -> Question:
        return _generated(config, revision, item, answer, sampling(item.payload["number"]).seed)

    return ask(config.generator, revision, chunks, request_of, row_of)


def seal(context: StageContext, answered: Answered) -> Sealed:
    """The questions as they are, with counts per kind, outcome and origin."""
    tables = context.tables
    tables.view("answered", answered.relation())
    tables.open("images")
    former = former_view(tables, "questions")
    measures = question_measures(tables, "answered", former, context.config.dataset.may_miss)
    return Sealed(None, _counts(tables, answered), measures=measures)


def _num_questions(tables: Tables) -> int:
    return tables.value(
        """SELECT (SELECT count(*) FROM images WHERE provided_question IS NOT NULL) + (
            SELECT count(*) FROM images JOIN asked_of_class asked USING (class1, class3) WHERE provided_question IS NULL
        )"""
    )


def _counts(tables: Tables, answered: Answered) -> dict[str, int]:
    kinds, outcomes = (tally(tables, "answered", name) for name in ("kind", "outcome"))
    return {
        "questions": answered.num_rows(),
        "provided": tables.value(f"SELECT count(*) FROM answered WHERE generator = '{PROVIDED}'"),
        "images_without_question": tables.value(
            "SELECT count(*) FROM images WHERE id NOT IN (SELECT image_id FROM answered)"
        ),
        **{f"kind.{kind}": number for kind, number in kinds.items()},
        **{f"outcome.{outcome}": number for outcome, number in outcomes.items()},
    }


def _provided(item: WorkItem) -> Question:
    return Question(
        **_about(item),
        text=item.payload["text"],
        generator=PROVIDED,
        generator_revision=item.payload["source"],
        prompt_hash=PROVIDED_PROMPT,
        seed=0,
        outcome="ok",
        error=None,
        raw_reply=None,
    )


def _generated(config: QuestionsConfig, revision: str, item: WorkItem, answer: Answer, seed: int) -> Question:
    """The row of one answer; a reply without a usable question is "unparsable", none at all is "error"."""
    text, error, outcome = "", answer.error, answer.outcome
    if outcome == "ok":
        text, error = read_question(answer.text, config.max_chars)
        outcome = "ok" if error is None else "unparsable"
    return Question(
        **_about(item),
        text=text,
        generator=config.generator.name,
        generator_revision=revision,
        prompt_hash=prompt_hash(item.payload["kind"]),
        seed=seed,
        outcome=outcome,
        error=error,
        raw_reply=storable(answer.text) if answer.text is not None else None,
    )


def _about(item: WorkItem) -> dict[str, Any]:
    return {"id": item.id} | {
        name: item.payload[name] for name in ("image_id", "class1", "class2", "class3", "kind")
    }
