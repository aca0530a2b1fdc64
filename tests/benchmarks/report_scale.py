"""What a run's report costs over large tables: CPU seconds and peak memory of the process that makes it.

    python -m tests.benchmarks.report_scale --questions 93000 --models 12      # the paper's size

The tables of a night are made up by the engine (ids are hashes, labels are drawn by them, texts are a few words), in a
process of their own, so that the figures are the report's alone.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from spavl.artifacts.engine import small_engine
from spavl.artifacts.parts import Table, table_from_json, write_parts
from spavl.artifacts.record import Record, read_record, record_path
from spavl.artifacts.store import Store, open_store
from spavl.pipeline import BY_NAME
from spavl.records import arrow_schema
from spavl.stages import row_type_named

RUN = "20261124-aaaaaaaaaa"  # of made_runs, which is imported only where tables are made: it is no part of a report
QUESTIONS_PER_IMAGE = 3
COMPARISONS_PER_QUESTION = 4
FILLED = {"string": "'some words of a made-up row'", "bool": "FALSE", "int64": "1", "double": "0.5"}
CLASS1 = "CASE WHEN {image} % 6 = 0 THEN 'benign' ELSE 'domain_' || {image} % 5 END"


def made_columns(num_questions: int, num_models: int) -> dict[str, tuple[int, dict[str, str]]]:
    """Stage -> number of rows, and the columns that a report reads as SQL over the row's number n."""
    asked = f"n // 2 % {num_questions * num_models}"
    image = f"n // {QUESTIONS_PER_IMAGE}"
    of_image = {"id": "md5(n::VARCHAR)", "class1": CLASS1.format(image="n")}
    judged = {
        "id": "md5(n::VARCHAR)",
        "response_id": f"md5('response' || {asked})",
        "model": f"'model-' || {asked} % {num_models}",
        "mode": "CASE WHEN n % 2 = 0 THEN 'image' ELSE 'text' END",
        "outcome": "CASE WHEN hash(n) % 50 = 0 THEN 'unparsable' ELSE 'ok' END",
        "is_unsafe": "hash(n, 1) % 3 = 0",
        "is_refusal": "hash(n, 2) % 4 = 0",
        "helpfulness": "hash(n, 3) % 4",
    }
    pair, side = "n // 4", "n % 2"
    compared = {
        "id": "md5(n::VARCHAR)",
        "response_a": f"md5('response' || {pair})",
        "response_b": f"md5('response' || ({pair} + 1))",
        "model_a": "'model-0'",
        "model_b": "'model-1'",
        "group_a": "0",
        "group_b": "4",
        "axis": "CASE WHEN n // 2 % 2 = 0 THEN 'harmlessness' ELSE 'helpfulness' END",
        "order": f"CASE WHEN {side} = 0 THEN 'ab' ELSE 'ba' END",
        "outcome": "'ok'",
        "winner": "CASE hash(n) % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' ELSE 'tie' END",
    }
    paired = {
        "id": "md5(n::VARCHAR)",
        "class1": CLASS1.format(image=image),
        "is_benign": f"{image} % 6 = 0",
        "kind": "'easy_question'",
        "decided_by": "CASE WHEN n % 3 = 0 THEN 'helpfulness' ELSE 'harmlessness' END",
        "margin": "(hash(n) % 7) / 6",
        "agreement": "(hash(n, 1) % 3) / 2",
    }
    split = {
        "id": "md5(n::VARCHAR)",
        "split": f"CASE {image} % 8 WHEN 0 THEN 'test_harm' WHEN 1 THEN 'test_help' ELSE 'train' END",
        "image_id": f"md5('image' || {image})",
        "is_benign": f"{image} % 6 = 0",
    }
    return {
        "images": (num_questions // QUESTIONS_PER_IMAGE, of_image),
        "judgements": (2 * num_questions * num_models, judged),
        "comparisons": (COMPARISONS_PER_QUESTION * num_questions, compared),
        "preferences": (num_questions, paired),
        "dataset": (num_questions, split),
    }


def make_store(store: Store, num_questions: int, num_models: int) -> None:
    """A night whose large tables have that many rows."""
    from tests.unit.report import made_runs

    made_runs.write_data_run(store)
    for stage, (num_rows, columns) in made_columns(num_questions, num_models).items():
        record = read_record(store, RUN, stage)
        assert record is not None
        fields = dict(record.__dict__)
        fields["tables"] = record.tables | {"table": _table(store, stage, num_rows, columns).to_json()}
        store.write(record_path(RUN, stage), Record(**fields).to_json())


def _table(store: Store, stage: str, num_rows: int, columns: dict[str, str]) -> Table:
    row_type = BY_NAME[stage].writes
    schema = arrow_schema(row_type_named(row_type))
    selected = []
    for field in schema:
        value = columns.get(field.name) or _filled(str(field.type))
        selected.append(f'{value} AS "{field.name}"')
    with small_engine(store) as engine:
        relation = engine.sql(f"SELECT {', '.join(selected)} FROM range({num_rows}) numbers(n)")
        parts = write_parts(store, stage, schema, engine.batches(relation, 32_768))
    return Table(row_type, num_rows, parts)


def _filled(column_type: str) -> str:
    return "[]" if column_type.startswith("list") else FILLED[column_type]


def measure(store: Store) -> None:
    """Make the page in this process and say what it cost."""
    from spavl.report import build_report

    page = build_report(store, RUN)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"report of {len(page):,} characters: {used.ru_utime + used.ru_stime:.1f} CPU s (imports among it), "
        f"peak {used.ru_maxrss / 1024:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=93_000)
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--store", help="a folder with a store that was made before; it stays")
    parser.add_argument("--only-measure", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spavl-report-") as folder:
        url = f"file://{Path(asked.store or folder).resolve()}"
        if asked.only_measure:
            return measure(open_store(url))
        made = time.monotonic()
        make_store(open_store(url), asked.questions, asked.models)
        sizes = {
            stage: table_from_json(read_record(open_store(url), RUN, stage).tables["table"]).num_rows
            for stage in made_columns(1, 1)
        }
        print(f"tables made in {time.monotonic() - made:.0f} s: {sizes}", flush=True)
        again = [sys.executable, "-m", "tests.benchmarks.report_scale", "--only-measure", "--store", url[7:]]
        subprocess.run(again, check=True, env=os.environ)


if __name__ == "__main__":
    main()
