"""Which questions are to be written or taken over for which image, and their ids. Pure: no model is asked here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spavl.errors import UserError
from spavl.inference.request import Sampling
from spavl.records import BENIGN, stable_hash
from spavl.sql import Number, Text, literal, stable_hash_sql
from spavl.stages.questions.config import QuestionsConfig
from spavl.stages.questions.prompt import render
from spavl.stages.questions.rows import QUESTION_KINDS
from spavl.taxonomy import load_taxonomy

PROVIDED = "source"  # group and generator of the questions that came with their images
PROVIDED_PROMPT = "provided"  # stands where a prompt hash would: no prompt was involved
HARM_KINDS = tuple(kind for kind in QUESTION_KINDS if kind != "benign_control")
MAX_PER_IMAGE = 1_000_000  # questions about one image: their places are counted within it


@dataclass(frozen=True, slots=True)
class Asked:
    """One question that each image of a class is to get from the generator."""

    class1: str
    class3: str
    kind: str
    number: int  # counts the questions of one kind about one image from 1
    place: int  # among the questions about one image, from 0
    seed: int
    rendered_hash: str  # of the prompt with the leaf's names in it, so that a corrected taxonomy asks anew


def check_config(config: QuestionsConfig) -> None:
    """Raise UserError for an unknown or repeated kind, and for a generator that takes the name of the provided group."""
    for kind in config.kinds:
        if kind not in HARM_KINDS or config.kinds.count(kind) > 1:
            raise UserError(
                f"questions.kinds has {kind!r}{' twice' if kind in HARM_KINDS else ''}.",
                next_step=f"Allowed, each once, are {', '.join(HARM_KINDS)}.",
            )
    if config.generator is not None and config.generator.name == PROVIDED:
        raise UserError(
            f"questions.generator may not be named {PROVIDED!r}: provided questions have that name."
        )


def sampling_of(config: QuestionsConfig, number: int) -> Sampling:
    """The config's sampling; each further question about one image has its own seed."""
    given = config.sampling
    return Sampling(given.temperature, given.top_p, given.max_tokens, given.seed + number - 1)


def asked(classes: Iterable[tuple[str, str]], config: QuestionsConfig) -> Iterator[Asked]:
    """What is asked of the generator about an image of each (class1, class3): each kind, or the benign controls."""
    taxonomy = load_taxonomy()
    for class1, class3 in classes:
        for place, (kind, number) in enumerate(_kinds(class1, config)):
            prompt_hash = stable_hash(render(kind, class3, number, taxonomy))
            yield Asked(class1, class3, kind, number, place, sampling_of(config, number).seed, prompt_hash)


def _kinds(class1: str, config: QuestionsConfig) -> list[tuple[str, int]]:
    if config.generator is None:
        return []
    if class1 == BENIGN:
        return [("benign_control", number) for number in range(1, config.num_benign_controls + 1)]
    return [(kind, 1) for kind in config.kinds]


def items_sql(config: QuestionsConfig, revision: str) -> str:
    """The work list over the views `images` and `asked_of_class`; `place_asked` counts by image, as its bytes lie in the store.

    An image that came with a question keeps that one, and no other is written for it.
    """
    return f"""WITH placed AS (
            SELECT *, row_number() OVER (ORDER BY id) AS image_place FROM images
        )
        SELECT {_provided_id()} AS id, {literal(PROVIDED)} AS "group", id AS image_id, class1, class2, class3,
            provided_question_kind AS kind, CAST(1 AS BIGINT) AS number, provided_question AS text, source,
            image_place * {MAX_PER_IMAGE} AS place_asked
        FROM placed WHERE provided_question IS NOT NULL
        UNION ALL
        SELECT {_written_id(config, revision)}, {literal(_name(config))}, placed.id, placed.class1, placed.class2,
            placed.class3, kind, number, NULL, source, image_place * {MAX_PER_IMAGE} + place
        FROM placed JOIN asked_of_class asked ON asked.class1 = placed.class1 AND asked.class3 = placed.class3
        WHERE provided_question IS NULL"""


def _name(config: QuestionsConfig) -> str:
    return config.generator.name if config.generator else ""


def _provided_id() -> str:
    kind, text = Text("provided_question_kind"), Text("provided_question")
    return stable_hash_sql("questions", Text("id"), Text("class3"), kind, PROVIDED, text)


def _written_id(config: QuestionsConfig, revision: str) -> str:
    parts = [
        Text("placed.id"),
        Text("placed.class3"),
        Text("kind"),
        Number("number"),
        _name(config),
        revision,
    ]
    parts += [Text("rendered_hash"), config.sampling.model_dump(), Number("seed"), config.max_chars]
    return stable_hash_sql("questions", *parts)
