"""The work list of `judgements`, in SQL: every response in every mode, and tonight's gold items among them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.judging import prompt_hash
from spavl.judging.asker import Asker
from spavl.judging.on_trial import ANSWERED, GOLD, Askings
from spavl.sql import json_text, literal
from spavl.stage import Items, Tables
from spavl.stages.judgements.rows import JUDGE_MODES, GoldItem

if TYPE_CHECKING:
    import pyarrow as pa

# One number for mode, place of the question, what tells its askings apart, and sample: the list is sorted by 8 bytes a row.
ORDER = ("place_asked",)
GOLD_COLUMNS = ("response_id", "question_id", "image_id", "mode", "question", "response", "class3", "kind")


def judgement_id_sql() -> str:
    """The id of what the judge says, as SQL over the columns answer_json and judge_json.

    It is `stable_hash("judgement", id and text of the response, mode, name, revision, prompt hash, sampling)`; what stands in
    it is written as JSON once per response and mode, and not once per judgement.
    """
    return """substr(sha256('["judgement",' || answer_json || ',' || judge_json || ']'), 1, 32)"""


def gold_table(askings: Askings[GoldItem]) -> pa.Table:
    """One row per gold item and mode, with all that a request needs."""
    return askings.table(GOLD_COLUMNS, _gold_values)


def _gold_values(item: GoldItem, mode: str) -> tuple[str, ...]:
    where = (item.id, item.question_id, item.image_id)
    return (*where, mode, item.question, item.response, item.class3, item.kind)


def items(tables: Tables, modes: Sequence[str], asker: Asker) -> Items:
    """The list, of the views `questions`, `responses` and `gold`: by mode, question (by image, then id), model and sample.

    A gold item stands among the models' responses, by its own id.
    """
    _number_questions(tables)
    tables.view("askings", _ASKINGS)
    tables.view("modes", _modes(modes, asker))
    steps = _Steps.of(tables)
    relation = tables.sql(
        f"""SELECT *, {literal(asker.name)} AS "group" FROM (
            SELECT {judgement_id_sql()} AS id, 'table' AS "table", answered.* EXCLUDE (place_in_mode, answer_json), mode,
                {steps.place_asked} AS place_asked
            FROM ({_answered(steps)}) answered, modes WHERE is_asked
            UNION ALL BY NAME
            SELECT gold_items.* EXCLUDE (place_in_mode), {steps.place_asked} AS place_asked
            FROM ({_gold_items(steps)}) gold_items JOIN modes USING (mode)
        )"""
    )
    return Items(relation, ORDER)


_ASKINGS = """SELECT asked, row_number() OVER (ORDER BY asked) - 1 AS asking
    FROM (SELECT model AS asked FROM responses UNION SELECT response_id FROM gold)"""


@dataclass(frozen=True)
class _Steps:
    """How far apart neighbouring modes, questions and askings of a question lie in `place_asked`; samples are its last digits."""

    mode: int
    question: int
    asking: int

    @classmethod
    def of(cls, tables: Tables) -> _Steps:
        asking = tables.value("SELECT coalesce(max(sample), 0) + 1 FROM responses")
        question = asking * tables.value("SELECT count(*) FROM askings")
        return cls(question * (tables.value("SELECT count(*) FROM places") + 1), question, asking)

    def place_in_mode(self, sample: str) -> str:
        return f"place * {self.question} + asking * {self.asking} + {sample} AS place_in_mode"

    @property
    def place_asked(self) -> str:
        return f"mode_place * {self.mode} + place_in_mode"


def _answered(steps: _Steps) -> str:
    """Every response with its question."""
    return f"""SELECT responses.id AS response_id, responses.question_id, responses.image_id, questions.text AS question,
            responses.text AS response, questions.class3, questions.kind, responses.model, {steps.place_in_mode("sample")},
            {json_text("responses.id")} || ',' || {json_text("responses.text")} AS answer_json
        FROM responses JOIN questions ON questions.id = responses.question_id
        JOIN places ON places.question_id = responses.question_id JOIN askings ON asked = model
        WHERE responses.outcome = 'ok'"""


def _gold_items(steps: _Steps) -> str:
    return f"""SELECT gold.*, {literal(ANSWERED)} AS "table", {literal(GOLD)} AS model, {steps.place_in_mode("0")}
        FROM gold JOIN places ON places.question_id = gold.question_id JOIN askings ON asked = gold.response_id"""


def _modes(modes: Sequence[str], asker: Asker) -> pa.Table:
    """All modes by name, gold's too: mode_place, whether responses are asked in it, and the end of its ids as JSON."""
    import pyarrow as pa

    ends = [[mode, *asker.id_parts(prompt_hash(mode))] for mode in sorted(JUDGE_MODES)]
    written = [json.dumps(end, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for end in ends]
    return pa.table(
        {
            "mode": sorted(JUDGE_MODES),
            "mode_place": pa.array(range(len(ends)), pa.int64()),
            "is_asked": [mode in modes for mode in sorted(JUDGE_MODES)],
            "judge_json": [end[1:-1] for end in written],
        }
    )


def _number_questions(tables: Tables) -> None:
    """The view `places`: every question of the views `questions` and `gold` with its place, by image and id."""
    tables.view(
        "places",
        """SELECT question_id, row_number() OVER (ORDER BY image_id, question_id) AS place FROM (
            SELECT image_id, id AS question_id FROM questions UNION SELECT image_id, question_id FROM gold
        )""",
    )
