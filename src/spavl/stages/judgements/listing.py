"""The work list of `judgements`, in SQL: every response in every mode, and tonight's gold items among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spavl.judging import prompt_hash
from spavl.judging.asker import Asker
from spavl.judging.on_trial import ANSWERED, GOLD, Askings
from spavl.sql import Text, literal, stable_hash_sql
from spavl.stage import Items, Tables
from spavl.stages.judgements.rows import GoldItem

if TYPE_CHECKING:
    import pyarrow as pa

# The place of the question stands for its image and id: the list is sorted by numbers and short names, not by 100 characters.
ORDER = ("mode", "place", "asked", "sample")
GOLD_COLUMNS = ("response_id", "question_id", "image_id", "mode", "question", "response", "class3", "kind")


def judgement_id_sql(mode: str, asker: Asker) -> str:
    """The id of what the asker's judge, with today's prompt, says in `mode` of the columns `id` and `text` of a response."""
    asked = (Text("responses.id"), Text("responses.text"), mode)
    return stable_hash_sql("judgement", *asked, *asker.id_parts(prompt_hash(mode)))


def gold_table(askings: Askings[GoldItem]) -> pa.Table:
    """One row per gold item and mode, with all that a request needs."""
    return askings.table(GOLD_COLUMNS, _gold_values)


def _gold_values(item: GoldItem, mode: str) -> tuple[str, ...]:
    where = (item.id, item.question_id, item.image_id)
    return (*where, mode, item.question, item.response, item.class3, item.kind)


def items(tables: Tables, modes: Sequence[str], asker: Asker) -> Items:
    """The list, of the views `questions`, `responses` and `gold`.

    `asked` is what tells the askings of one question apart: the model, or the gold item.
    """
    _number_questions(tables)
    of_modes = " UNION ALL BY NAME ".join(_of_mode(mode, asker) for mode in modes)
    relation = tables.sql(
        f"""SELECT *, {literal(asker.name)} AS "group" FROM ({of_modes} UNION ALL BY NAME
            SELECT gold.*, {literal(ANSWERED)} AS "table", {literal(GOLD)} AS model, gold.response_id AS asked, 0 AS sample, place
            FROM gold JOIN places ON places.question_id = gold.question_id
        )"""
    )
    return Items(relation, ORDER)


def _of_mode(mode: str, asker: Asker) -> str:
    return f"""SELECT {judgement_id_sql(mode, asker)} AS id, 'table' AS "table", responses.id AS response_id,
            responses.question_id, responses.image_id, {literal(mode)} AS mode, questions.text AS question,
            responses.text AS response, questions.class3, questions.kind, responses.model, responses.model AS asked,
            responses.sample, place
        FROM responses JOIN questions ON questions.id = responses.question_id
        JOIN places ON places.question_id = responses.question_id WHERE responses.outcome = 'ok'"""


def _number_questions(tables: Tables) -> None:
    """The view `places`: every question of the views `questions` and `gold` with its place, by image and id.

    A list that is sorted by place is sorted by numbers, not by 100 characters a row.
    """
    tables.view(
        "places",
        """SELECT question_id, row_number() OVER (ORDER BY image_id, question_id) AS place FROM (
            SELECT image_id, id AS question_id FROM questions UNION SELECT image_id, question_id FROM gold
        )""",
    )
