"""Made tables of any size, as parts with records: what a night at the paper's size reads, without asking a model.

93,000 questions and 12 models give 1,116,000 responses, 2,232,000 judgements and 372,000 comparisons. Every value follows
from the size alone, and DuckDB makes it, so memory does not grow with the size. Texts are long runs of placeholder words.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.artifacts.parts import PartWriter, Table
from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import Store
from spavl.records import BENIGN, arrow_schema
from spavl.stages import row_type_of
from spavl.taxonomy import load_taxonomy

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

STAGES = ("images", "questions", "responses", "judgements", "comparisons")
BATCH_ROWS = 8192
BENIGN_IMAGES = 4  # one image in so many is benign
KINDS = "['easy_question', 'hard_question', 'hard_statement']"
WORDS = "'placeholder words of an answer, '"
REFUSAL = "'Sorry, I cannot help with that.'"  # one response in ten: the same words by several models


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; the paper's is the default."""

    num_images: int = 31_000
    questions_per_image: int = 3
    num_models: int = 12
    text_chars: int = 400  # of a response, about
    first_image: int = 0  # a second night with other images begins at another number

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(f"m{number:02d}" for number in range(self.num_models))


def write_tables(store: Store, run_id: str, size: Size, *stages: str) -> dict[str, Record]:
    """Write the tables of these stages (all of STAGES if none is named) with their records; returns the records by stage."""
    with tempfile.TemporaryDirectory(prefix="spavl-scale-") as scratch:
        made = _Made(size, Path(scratch))
        records_ = {stage: _write(store, run_id, stage, made) for stage in stages or STAGES}
        made.close()
    return records_


def _write(store: Store, run_id: str, stage: str, made: _Made) -> Record:
    row_type = row_type_of(stage)
    schema = arrow_schema(row_type)
    writer, num_rows = PartWriter(store, stage, schema), 0
    for query in getattr(made, stage)():
        for batch in made.batches(query, schema):
            writer.write(batch)
            num_rows += batch.num_rows
    table = Table(row_type.__name__, num_rows, writer.close())
    fingerprint = f"scale-{stage}-{made.size}"
    made_at = "2026-01-01T00:00:00+00:00"
    record = Record(run_id, stage, fingerprint, made_at, "scale", {}, {}, {"table": table.to_json()})
    store.create(record_path(run_id, stage), record.to_json())
    return record


class _Made:
    """The SELECTs of every table, one after the other in the order of its rows."""

    def __init__(self, size: Size, scratch: Path) -> None:
        import duckdb

        self.size = size
        self._connection: duckdb.DuckDBPyConnection = duckdb.connect(
            config={"memory_limit": "600MB", "threads": 1, "temp_directory": str(scratch)}
        )
        self._connection.register("leaves", _leaves())
        self._connection.execute(self._images())
        self._connection.execute(self._questions())

    def close(self) -> None:
        self._connection.close()

    def batches(self, query: str, schema: pa.Schema) -> Any:
        """Batches with exactly the schema's columns."""
        import pyarrow as pa

        for batch in self._connection.sql(query).to_arrow_reader(BATCH_ROWS):
            yield pa.Table.from_batches([batch]).select(schema.names).cast(schema)

    def images(self) -> list[str]:
        return ["SELECT * EXCLUDE (number) FROM made_images"]

    def questions(self) -> list[str]:
        return ["SELECT * EXCLUDE (place) FROM made_questions"]

    def responses(self) -> list[str]:
        num_repeated = max(1, self.size.text_chars // 32)
        return [
            f"""SELECT {_response_id("id", f"'{model}'")} AS id, id AS question_id, image_id, '{model}' AS model,
                '1' AS model_revision, 0 AS sample, 'p' AS prompt_hash, '{{"temperature":0.0}}' AS sampling,
                if(hash(id || '{model}') % 10 = 0, {REFUSAL}, '{model} on ' || id || ': ' || repeat({WORDS}, {num_repeated}) || 'end.') AS text,
                'ok' AS outcome, NULL AS error, 'stop' AS finish_reason, 300 AS prompt_tokens, 90 AS completion_tokens
            FROM made_questions"""
            for model in self.size.models
        ]

    def judgements(self) -> list[str]:
        return [self._judgements_of(mode) for mode in ("image", "text")]

    def comparisons(self) -> list[str]:
        n = self.size.num_models
        return [
            f"""WITH paired AS (
                SELECT *, {_response_id("id", "first_model")} AS x, {_response_id("id", "second_model")} AS y FROM (
                    SELECT *, {_model(f"place % {n}")} AS first_model, {_model(f"(place + {n // 2}) % {n}")} AS second_model
                    FROM made_questions
                )
            ), asked AS (
                SELECT *, unnest(['harmlessness', 'harmlessness', 'helpfulness', 'helpfulness']) AS axis,
                    unnest(['ab', 'ba', 'ab', 'ba']) AS order_shown FROM paired
            )
            SELECT substr(sha256(x || y || axis || order_shown), 1, 32) AS id, id AS question_id, image_id,
                least(x, y) AS response_a, greatest(x, y) AS response_b,
                if(x < y, first_model, second_model) AS model_a, if(x < y, second_model, first_model) AS model_b,
                if(x < y, place % {n}, (place + {n // 2}) % {n}) * 5 // {n} AS group_a,
                if(x < y, (place + {n // 2}) % {n}, place % {n}) * 5 // {n} AS group_b,
                axis, order_shown AS "order", 'judge' AS judge, '1' AS judge_revision, 'p' AS prompt_hash, 'ok' AS outcome,
                NULL AS error, ['a', 'b', 'tie'][CAST(1 + hash(x || axis) % 3 AS BIGINT)] AS winner, 'a reason in some words' AS reason,
                '{{"winner": "first", "reason": "a reason in some words"}}' AS raw_reply
            FROM asked"""
        ]

    def _images(self) -> str:
        """Sorted by id; one in BENIGN_IMAGES is benign."""
        first, last = self.size.first_image, self.size.first_image + self.size.num_images
        return f"""CREATE TABLE made_images AS
            SELECT sha256('image ' || number) AS id, 'made' AS source, number || '.png' AS source_key,
                if({_is_benign()}, '{BENIGN}', class1) AS class1, if({_is_benign()}, '{BENIGN}', class2) AS class2,
                if({_is_benign()}, '{BENIGN}', class3) AS class3, 'CC0-1.0' AS licence,
                'a drawing of thing ' || number AS caption, NULL AS provided_question, NULL AS provided_question_kind,
                320 AS width_px, 240 AS height_px, 24000 AS num_bytes, 'PNG' AS format,
                substr(sha256('hash ' || number), 1, 16) AS perceptual_hash, number
            FROM range({first}, {last}) numbers(number) JOIN leaves ON leaf = number % (SELECT count(*) FROM leaves)
            ORDER BY id"""

    def _questions(self) -> str:
        """Sorted by image and id; `place` counts them from 0."""
        return f"""CREATE TABLE made_questions AS
            SELECT *, row_number() OVER (ORDER BY image_id, id) - 1 AS place FROM (
                SELECT substr(sha256('question ' || id || k), 1, 32) AS id, id AS image_id, class1, class2, class3,
                    if({_is_benign()}, 'benign_control', {KINDS}[1 + k % 3]) AS kind,
                    'What is in picture ' || number || ', asked for the time ' || k || '? Say it in some words.' AS text,
                    'generator' AS generator, '1' AS generator_revision, 'p' AS prompt_hash, 0 AS seed, 'ok' AS outcome,
                    NULL AS error, 'a raw reply in some words' AS raw_reply
                FROM made_images, range({self.size.questions_per_image}) times(k)
            ) ORDER BY image_id, id"""

    def _judgements_of(self, mode: str) -> str:
        """By image, question and model. The higher a model's number the safer it is; one reading in 200 is unparsable."""
        n = self.size.num_models
        return f"""WITH asked AS (
                SELECT id AS question_id, image_id, place, class3, unnest(range({n})) AS number FROM made_questions
            ), read AS (
                SELECT *, {_model("number")} AS model, hash(question_id || number || '{mode}') % 200 AS drawn FROM asked
            ), labelled AS (
                SELECT *, if(drawn = 0, NULL, class3 <> '{BENIGN}' AND drawn % 20 > number * 20 // {n}) AS is_unsafe FROM read
            )
            SELECT substr(sha256(question_id || model || '{mode}'), 1, 32) AS id,
                {_response_id("question_id", "model")} AS response_id, question_id, image_id, model, '{mode}' AS mode,
                'judge' AS judge, '1' AS judge_revision, 'p' AS prompt_hash, if(drawn = 0, 'unparsable', 'ok') AS outcome,
                if(drawn = 0, 'the reply is not the JSON asked for', NULL) AS error, is_unsafe,
                if(is_unsafe, class3, NULL) AS category, if(drawn = 0, NULL, if(is_unsafe, 2, 0)) AS severity,
                if(drawn = 0, NULL, NOT is_unsafe AND class3 <> '{BENIGN}') AS is_refusal,
                if(drawn = 0, NULL, drawn % 4) AS helpfulness,
                '{{"is_unsafe": false, "category": null, "severity": 0, "is_refusal": true, "helpfulness": 1}}' AS raw_reply
            FROM labelled"""


def _is_benign() -> str:
    return f"number % {BENIGN_IMAGES} = 0"


def _model(number: str) -> str:
    return f"'m' || lpad(CAST({number} AS VARCHAR), 2, '0')"


def _response_id(question_id: str, model: str) -> str:
    return f"substr(sha256({question_id} || '/' || {model}), 1, 32)"


def _leaves() -> pa.Table:
    import pyarrow as pa

    leaves = load_taxonomy().leaves
    columns = {"class1": [leaf.class1 for leaf in leaves], "class2": [leaf.class2 for leaf in leaves]}
    return pa.table({"leaf": range(len(leaves)), **columns, "class3": [leaf.id for leaf in leaves]})
