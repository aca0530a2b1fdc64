"""Which two responses to a question are compared: from different safety groups, chosen by a seeded hash. In SQL.

All cross-group pairs of a question are ranked by a hash of (seed, question id, both response ids) and the first ones win, so
a choice never depends on the order of rows, and a change of groups leaves most chosen pairs as they were. Which of the two is
called a is decided by response id, itself a hash. Two responses whose texts are the same but for white space around them are
no pair, and two pairs of the same two texts are one. Texts are told apart by 64-bit hashes, among the few of one question.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spavl.sql import json_text, literal
from spavl.stage import Tables
from spavl.stages.comparisons.on_disk import keep

if TYPE_CHECKING:
    import pyarrow as pa

QUESTIONS_PER_BATCH = 16_384  # at 12 models some 900,000 candidate pairs, 150 MB
# what str.strip() takes away; SQL's own trim takes away spaces only
WHITE_SPACE = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"  # fmt: skip


def stripped(text: str) -> str:
    """The SQL expression of `str.strip()`; a text that has nothing to strip is not copied."""
    characters = ", ".join(literal(character) for character in WHITE_SPACE)
    is_padded = f"left({text}, 1) IN ({characters}) OR right({text}, 1) IN ({characters})"
    return f"CASE WHEN {is_padded} THEN trim({text}, {literal(WHITE_SPACE)}) ELSE {text} END"


def usable(text_columns: str) -> str:
    """SELECT of the usable responses (outcome ok, a text that is not blank) with their group, of the views `responses` and `groups`.

    `text_columns` are columns made of `text` and `bare`, the text without white space around it.
    """
    return f"""SELECT question_id, id, safety_group, {text_columns} FROM (
            SELECT *, {stripped("text")} AS bare FROM responses WHERE outcome = 'ok'
        ) answers JOIN groups ON groups.model = answers.model WHERE bare <> ''"""


def choose_pairs(tables: Tables, scratch: Path, *, seed: int, num_pairs: int) -> pa.Table:
    """At most `num_pairs` pairs per question, fewer if there are no more: columns question_id, a and b (response ids).

    Of the views `questions`, `responses` and `groups`, a batch of questions in memory at a time; what is known of each response lies in
    `scratch` meanwhile.
    """
    import pyarrow as pa

    _number_candidates(tables, scratch)
    num_questions = tables.value("SELECT count(*) FROM questions")
    starts = range(0, num_questions, QUESTIONS_PER_BATCH)
    chosen = [tables.sql(_choice(start, seed, num_pairs)).to_arrow_table() for start in starts]
    schema = pa.schema([(name, pa.string()) for name in ("question_id", "a", "b")])
    return pa.concat_tables([schema.empty_table(), *chosen])


def num_identical(tables: Tables) -> int:
    """How many cross-group pairs have the same text on both sides: nothing to compare. Of `responses` and `groups`."""
    return int(
        tables.value(
            f"""SELECT coalesce(sum((num * num - squares) // 2), 0) FROM (
                SELECT sum(num) AS num, sum(num * num) AS squares FROM (
                    SELECT question_id, bare_hash, safety_group, count(*) AS num
                    FROM ({usable("hash(bare) AS bare_hash")}) GROUP BY ALL
                ) GROUP BY question_id, bare_hash
            )"""
        )
    )


def _number_candidates(tables: Tables, scratch: Path) -> None:
    """The view `candidates`: one narrow row per usable response, its question numbered from 0."""
    columns = f"{json_text('id')} AS quoted, hash(text) AS text_hash, hash(bare) AS bare_hash"
    numbers = "SELECT id AS question_id, row_number() OVER (ORDER BY id) - 1 AS number FROM questions"
    query = f"SELECT number, usable.* FROM ({usable(columns)}) usable JOIN ({numbers}) numbers USING (question_id)"
    keep(tables, scratch, "candidates", query)


def _choice(start: int, seed: int, num_pairs: int) -> str:
    """SELECT of the pairs of one batch of questions."""
    batch = f"(FROM candidates WHERE number >= {start} AND number < {start + QUESTIONS_PER_BATCH})"
    asked = (
        f"""'["pair",{seed},' || {json_text("a.question_id")} || ',' || a.quoted || ',' || b.quoted || ']'"""
    )
    crossing = f"""SELECT a.question_id, a.id AS a, b.id AS b, substr(sha256({asked}), 1, 32) AS place,
            least(a.text_hash, b.text_hash) AS one, greatest(a.text_hash, b.text_hash) AS other
        FROM {batch} a JOIN {batch} b ON a.number = b.number AND a.id < b.id
            AND a.safety_group <> b.safety_group AND a.bare_hash <> b.bare_hash"""
    if num_pairs > 1:  # the first pair of a question is the first of its texts too
        crossing = f"""SELECT question_id, arg_min(a, place) AS a, arg_min(b, place) AS b, min(place) AS place
            FROM ({crossing}) GROUP BY question_id, one, other"""
    return f"""SELECT question_id, pair.a, pair.b FROM (
            SELECT question_id, unnest(arg_min({{'a': a, 'b': b}}, place, {num_pairs})) AS pair
            FROM ({crossing}) GROUP BY question_id
        )"""
