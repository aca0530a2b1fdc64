"""All pairs of a night as one local file: what was decided, why the others were dropped, and the words of both sides.

Everything that comes after (rows, counts, audit) reads this file, so the four big tables are joined once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spavl.sql import Text, literal, stable_hash_sql
from spavl.stage import Tables
from spavl.stages.preferences.deciding import ASKINGS, askings_sql, decisions_sql, verdicts_sql
from spavl.stages.preferences.image_ranges import image_ranges
from spavl.stages.preferences.rows import Preference

ROWS_PER_GROUP = 16_384  # the writer holds one group per thread, texts included
PAIRS_AT_ONCE = (
    100_000  # joined and sorted with their texts, some 150 MB; more pairs are done image range by image range
)
LABELS = """
    SELECT response_id, question_id, image_id, model, is_unsafe, is_refusal, category, helpfulness
    FROM judgements WHERE mode = 'image' AND outcome = 'ok'"""
COLUMNS = ", ".join(f'"{name}"' for name in Preference.__dataclass_fields__)
PREFERENCES = f"SELECT {COLUMNS} FROM pairs WHERE dropped IS NULL"

# the responses that stand in a pair, with the judge's label if it gave one
_SIDES = """
    SELECT id, image_id, text, model, is_unsafe, is_refusal, helpfulness
    FROM (SELECT id, image_id, text, model FROM responses WHERE id IN (
        SELECT unnest([response_a, response_b]) FROM verdicts))
    LEFT JOIN (SELECT response_id, is_unsafe, is_refusal, helpfulness FROM labels) ON response_id = id"""
_OF_SIDE = ("text", "model", "is_unsafe", "is_refusal", "helpfulness")


def open_pairs(tables: Tables, scratch: Path, min_agreement: float, min_benign_helpfulness: int) -> None:
    """Make the view `labels`, and the view `pairs`: one row per pair, by image, question and responses.

    A row has all columns of Preference, those of the decision, and rank, its place in the order that samples are taken in.
    The sides of a pair that leans to nobody are NULL.
    """
    tables.view("labels", LABELS)
    _keep(tables, "verdicts", [verdicts_sql(askings_sql())], scratch)
    _keep(tables, "sides", [_SIDES], scratch)
    order = "pair_image, question_id, response_a, response_b"
    queries = []
    for images in image_ranges(tables, "verdicts", PAIRS_AT_ONCE):
        decided = decisions_sql(_sided(images), min_agreement, min_benign_helpfulness)
        queries.append(f"{_with_ids(decided)} ORDER BY {order}")
    _keep(tables, "pairs", queries, scratch)


def _keep(tables: Tables, view: str, queries: Sequence[str], scratch: Path) -> None:
    """Work the queries out once, each into a local file; the view has the rows of all."""
    files = [scratch / f"{view}-{number:04d}.parquet" for number in range(len(queries))]
    for file, query in zip(files, queries, strict=True):
        tables.sql(query).write_parquet(str(file), row_group_size=ROWS_PER_GROUP)
    names = ", ".join(literal(str(file)) for file in files)
    tables.view(view, f"SELECT * FROM read_parquet([{names}])")


def _sided(images: str) -> str:
    """Verdicts with the question and what is known of the two sides; of the images for which the condition holds."""
    sides = [
        f"{side}.{name} AS {side}{'' if name == 'text' else '_' + name}"
        for side in ("chosen", "rejected")
        for name in _OF_SIDE
    ]
    return f"""
        WITH leaning AS (
            SELECT *,
                CASE leaning WHEN 'a' THEN response_a WHEN 'b' THEN response_b END AS chosen_response,
                CASE leaning WHEN 'a' THEN response_b WHEN 'b' THEN response_a END AS rejected_response,
                if(leaning = 'a', group_a, group_b) AS chosen_group,
                if(leaning = 'a', group_b, group_a) AS rejected_group
            FROM verdicts WHERE {images})
        SELECT leaning.* EXCLUDE (image_id), leaning.image_id AS pair_image, asked.*, {", ".join(sides)}
        FROM leaning
        LEFT JOIN (
            SELECT id AS asked_id, image_id, class1, class2, class3, kind, kind = 'benign_control' AS is_benign, text AS question
            FROM questions WHERE {images}) asked ON asked_id = question_id
        LEFT JOIN (FROM sides WHERE {images}) chosen ON chosen.id = chosen_response
        LEFT JOIN (FROM sides WHERE {images}) rejected ON rejected.id = rejected_response"""


def _with_ids(decided: str) -> str:
    answered = [Text("question_id"), Text("chosen_response"), Text("rejected_response")]
    pair = "chosen_response || '/' || rejected_response"
    done = [f"{axis}_{order}{part}" for axis, order in ASKINGS for part in ("", "_is_ok", "_id")]
    return f"""
        SELECT * EXCLUDE ({", ".join(done)}), {stable_hash_sql("preference", *answered)} AS id,
            [{", ".join(f"{axis}_{order}_id" for axis, order in ASKINGS)}] AS comparisons,
            {pair} AS pair, sha256({pair}) AS rank
        FROM ({decided})"""
