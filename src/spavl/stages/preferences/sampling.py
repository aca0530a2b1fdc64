"""The rows that the audit reads one by one: samples of a bounded size, chosen by the hash of an id.

The same rows are chosen as `audit.words.sampled` and `sampled_groups` choose, and no others leave the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from spavl.audit import triggers
from spavl.audit.direction import MAX_PAIRS, Pair
from spavl.audit.image_classes import MAX_IMAGES, Described
from spavl.audit.label_noise import MAX_ROWS, Labelled
from spavl.audit.triggers import Asked
from spavl.sql import literal
from spavl.stage import Tables
from spavl.stages.preferences.counting import AGAINST_LABELS, HARM

if TYPE_CHECKING:
    from spavl.artifacts.engine import Relation

# two unsafe answers: such pairs are dropped, and what is better there teaches nothing about harm
TEACHING = f"{HARM} AND NOT coalesce(chosen_is_unsafe AND rejected_is_unsafe, FALSE)"


def pairs(tables: Tables, condition: str) -> list[Pair]:
    """At most MAX_PAIRS pairs with their texts, by id."""
    found = tables.sql(
        f"""SELECT pair, pair_image, class3, class1, chosen, rejected FROM pairs
        WHERE pair IN (SELECT pair FROM pairs WHERE {condition} ORDER BY rank LIMIT {MAX_PAIRS}) ORDER BY pair"""
    )
    return [Pair(*row) for row in found.fetchall()]


def asked(tables: Tables, condition: str, hit: str) -> list[Asked]:
    """At most as many questions of pairs as triggers are sought in; `hit` is an SQL expression over the pair."""
    found = tables.sql(
        f"""SELECT pair, pair_image, question, {hit} FROM pairs
        WHERE {condition} ORDER BY rank LIMIT {triggers.MAX_ROWS}"""
    )
    return [Asked(*row) for row in found.fetchall()]


def asked_against(tables: Tables, contradicted: Iterable[str]) -> list[Asked]:
    """Questions of harm pairs; a hit if the choice is against the labels, or the pair is one of `contradicted`."""
    wrong = set(contradicted)
    return [
        row if row.is_hit or row.id not in wrong else Asked(row.id, row.image_id, row.question, True)
        for row in asked(tables, TEACHING, AGAINST_LABELS)
    ]


def chosen_models(tables: Tables, condition: str) -> list[str]:
    """Models whose answer is the chosen one of any pair."""
    found = tables.sql(f"SELECT DISTINCT chosen_model FROM pairs WHERE {condition} ORDER BY chosen_model")
    return [model for (model,) in found.fetchall()]


def asked_of_model(tables: Tables, condition: str, model: str) -> list[Asked]:
    """Questions of the pairs that a model takes part in; a hit if it is the chosen one."""
    name = literal(model)
    took_part = f"{condition} AND {name} IN (chosen_model, rejected_model)"
    return asked(tables, took_part, f"chosen_model = {name}")


def asked_with(tables: Tables, noisy: Iterable[str]) -> list[Asked]:
    """One row per question with labels: a hit if at least half of the labels of its answers are in `noisy` (response ids)."""
    import pyarrow as pa

    tables.view("noisy", pa.table({"noisy_id": pa.array(list(noisy), pa.string())}))
    found = tables.sql(
        f"""SELECT questions.id, image_id, text, is_hit FROM questions JOIN (
            SELECT question_id, 2 * count(noisy_id) >= count(*) AS is_hit
            FROM labels LEFT JOIN noisy ON noisy_id = response_id GROUP BY question_id
        ) ON questions.id = question_id ORDER BY sha256(questions.id) LIMIT {triggers.MAX_ROWS}"""
    )
    return [Asked(*row) for row in found.fetchall()]


def labelled(tables: Tables) -> list[tuple[Labelled, bool]]:
    """All answers of as many images as have MAX_ROWS labels together, by id: labelled unsafe or not; and whether it is a refusal."""
    found = tables.sql(
        f"""
        WITH images_by_rank AS (
            SELECT image_id, sum(count(*)) OVER by_rank AS num_labels, row_number() OVER by_rank AS place
            FROM labels GROUP BY image_id WINDOW by_rank AS (ORDER BY sha256(image_id))
        ), chosen AS (
            SELECT response_id, question_id, image_id, model, is_unsafe, is_refusal FROM labels
            WHERE image_id IN (SELECT image_id FROM images_by_rank WHERE num_labels <= {MAX_ROWS} OR place = 1)
        )
        SELECT response_id, chosen.image_id, responses.text || ' kind_' || kind || ' ' || questions.text, is_unsafe, class3, class1,
            chosen.model, is_refusal
        FROM chosen JOIN responses ON responses.id = response_id JOIN questions ON questions.id = chosen.question_id
        ORDER BY response_id"""
    )
    return [(Labelled(*row[:-1]), row[-1]) for row in found.fetchall()]


def captioned(tables: Tables, view: str = "images") -> list[Described]:
    """At most MAX_IMAGES images with their captions."""
    return _described(
        tables.sql(
            f"SELECT id, caption, class1 FROM {view} WHERE caption <> '' ORDER BY sha256(id) LIMIT {MAX_IMAGES}"
        )
    )


def answered(tables: Tables, models: Sequence[str]) -> list[Described]:
    """At most MAX_IMAGES images with all that the models answered about them: by model, in the order given, and question."""
    order = (
        f"list_position([{', '.join(map(literal, models))}], model), model, question_id, sample, responses.id"
    )
    return _described(
        tables.sql(
            f"""SELECT chosen.id, string_agg(text, ' ' ORDER BY {order}), class1
            FROM (SELECT id, class1 FROM images ORDER BY sha256(id) LIMIT {MAX_IMAGES}) chosen
            JOIN responses ON image_id = chosen.id GROUP BY chosen.id, class1"""
        )
    )


def _described(rows: Relation) -> list[Described]:
    return [Described(*row) for row in rows.fetchall()]
