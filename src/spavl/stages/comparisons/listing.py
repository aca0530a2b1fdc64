"""The work list of `comparisons`, in SQL: every pair on both axes in both orders, and tonight's gold pairs among them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spavl.judging.asker import Asker
from spavl.judging.on_trial import ANSWERED, GOLD, Askings
from spavl.sql import Text, literal, stable_hash_sql
from spavl.stage import Items, Tables
from spavl.stages.comparisons.asking import prompt_hash
from spavl.stages.comparisons.on_disk import keep
from spavl.stages.comparisons.rows import AXES, ORDERS, GoldPair

if TYPE_CHECKING:
    import pyarrow as pa

# The place of the pair stands for image, question and both responses: the list is sorted by numbers and short names.
ORDER = ("place", "axis", "order")
ASKED = ("question_id", "image_id", "axis", "order", "question", "text_a", "text_b", "class3", "kind")
GOLD_COLUMNS = ("response_a", "response_b", *ASKED)


def comparison_id_sql(axis: str, order: str, asker: Asker) -> str:
    """The id of what the asker's judge, with today's prompt, says of the responses `a` and `b` (columns id and text)."""
    asked = [Text(name) for name in ("a.id", "a.text", "b.id", "b.text")]
    return stable_hash_sql("comparison", *asked, axis, order, *asker.id_parts(prompt_hash(axis)))


def gold_table(askings: Askings[GoldPair]) -> pa.Table:
    """One row per gold pair and order, with all that a request needs."""
    return askings.table(GOLD_COLUMNS, _gold_values)


def _gold_values(pair: GoldPair, order: str) -> tuple[str, ...]:
    asked = (pair.question_id, pair.image_id, pair.axis, order)
    texts = (pair.question, pair.response_a, pair.response_b)
    return (f"{pair.id}/a", f"{pair.id}/b", *asked, *texts, pair.class3, pair.kind)


def items(tables: Tables, scratch: Path, asker: Asker) -> Items:
    """The list, of the views `questions`, `responses`, `groups`, `pairs` (question_id, a, b) and `gold`.

    The pairs' texts lie in `scratch` meanwhile.
    """
    _number_pairs(tables, scratch)
    _join_texts(tables, scratch)
    relation = tables.sql(
        f"""SELECT *, {literal(asker.name)} AS "group" FROM ({_pairs(asker)} UNION ALL BY NAME
            SELECT gold.*, {literal(ANSWERED)} AS "table", {literal(GOLD)} AS model_a, {literal(GOLD)} AS model_b,
                0 AS group_a, 0 AS group_b, place
            FROM gold JOIN places USING (response_a, response_b)
        )"""
    )
    return Items(relation, ORDER)


def _pairs(asker: Asker) -> str:
    ways = [(axis, order) for axis in AXES for order in ORDERS]
    askings = ", ".join(
        f"{{'id': {comparison_id_sql(axis, order, asker)}, 'axis': {literal(axis)}, 'order': {literal(order)}}}"
        for axis, order in ways
    )
    return f"""SELECT asking.id, 'table' AS "table", * EXCLUDE (asking), asking.axis, asking."order" FROM (
            SELECT unnest([{askings}]) AS asking, a.id AS response_a, b.id AS response_b, a.question_id, a.image_id,
                questions.text AS question, a.text AS text_a, b.text AS text_b, questions.class3, questions.kind,
                a.model AS model_a, b.model AS model_b, group_of_a.safety_group AS group_a, group_of_b.safety_group AS group_b,
                place
            FROM paired JOIN questions ON questions.id = a.question_id
            JOIN groups group_of_a ON group_of_a.model = a.model JOIN groups group_of_b ON group_of_b.model = b.model
        )"""


def _number_pairs(tables: Tables, scratch: Path) -> None:
    """The view `places`: every pair of the views `pairs` and `gold` with its place, by image, question and responses."""
    ordinary = """SELECT image_id, question_id, a AS response_a, b AS response_b
        FROM pairs JOIN questions ON questions.id = pairs.question_id"""
    gold = "SELECT image_id, question_id, response_a, response_b FROM gold"
    by = "image_id, question_id, response_a, response_b"
    query = f"""SELECT response_a, response_b, row_number() OVER (ORDER BY {by}) AS place
        FROM ({ordinary} UNION {gold})"""
    keep(tables, scratch, "places", query)


def _join_texts(tables: Tables, scratch: Path) -> None:
    """The view `paired`: the responses `a` and `b` of every pair.

    The responses of pairs are taken out of all responses first, by ids alone: no join ever holds the texts of all.
    """
    chosen = """SELECT id, text, model, question_id, image_id FROM responses
        WHERE id IN (SELECT a FROM pairs UNION ALL SELECT b FROM pairs)"""
    keep(tables, scratch, "chosen", chosen)
    both = """SELECT place, one AS a, other AS b FROM places
        JOIN chosen one ON one.id = response_a JOIN chosen other ON other.id = response_b"""
    keep(tables, scratch, "paired", both)
