"""What it costs to check a table of judgements with its suite: CPU seconds, wall seconds and peak memory above the imports.

    python -m tests.benchmarks.check_speed --rows 1000000

Makes a table of that many judgements, with raw replies of about 150 characters, as Parquet parts, and checks it in a fresh
process with expectations/judgements.yaml. `--as table` gives the check the whole table in Arrow, `--as relation` (the
default) a lazy relation over the parts, as the runner does. Figures are printed as JSON; nothing is kept.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS_PER_PART = 250_000
# judgement i: every response is judged with the image and without it, 12 models answer each question
ROW_SQL = """
    SELECT substr(sha256('judgement ' || i), 1, 32) AS id,
        substr(sha256('response ' || i // 2), 1, 32) AS response_id,
        substr(sha256('question ' || i // 24), 1, 32) AS question_id,
        sha256('image ' || i // 96) AS image_id,
        'model_' || (i // 2) % 12 AS model,
        CASE WHEN i % 2 = 0 THEN 'image' ELSE 'text' END AS mode,
        'judge' AS judge,
        'rev-1' AS judge_revision,
        substr(sha256('prompt ' || i % 2), 1, 32) AS prompt_hash,
        CASE WHEN is_ok THEN 'ok' ELSE 'unparsable' END AS outcome,
        CAST(NULL AS VARCHAR) AS error,
        CASE WHEN is_ok THEN is_unsafe END AS is_unsafe,
        CASE WHEN is_ok AND is_unsafe THEN 'insult' END AS category,
        CAST(CASE WHEN is_ok THEN CASE WHEN is_unsafe THEN 1 + i % 3 ELSE 0 END END AS BIGINT) AS severity,
        CASE WHEN is_ok THEN NOT is_unsafe AND i % 5 = 0 END AS is_refusal,
        CAST(CASE WHEN is_ok THEN i % 4 END AS BIGINT) AS helpfulness,
        '{{"is_unsafe": ' || is_unsafe || ', "note": "' || repeat(sha256('reply ' || i), 2) || '"}}' AS raw_reply
    FROM (SELECT i, hash(i) % 100 > 0 AS is_ok, (i // 2) % 3 = 0 AND hash(i) % 10 < 9 AS is_unsafe
          FROM range({start}, {end}) rows(i))
"""


def make_parts(folder: Path, num_rows: int) -> None:
    """The Parquet parts of the table."""
    import duckdb
    import pyarrow.parquet as pq

    from spavl.records import arrow_schema
    from spavl.stages.judgements.rows import Judgement

    schema = arrow_schema(Judgement)
    connection = duckdb.connect()
    for number, start in enumerate(range(0, num_rows, ROWS_PER_PART)):
        end = min(num_rows, start + ROWS_PER_PART)
        rows = connection.sql(ROW_SQL.format(start=start, end=end)).to_arrow_table()
        pq.write_table(
            rows.cast(schema), folder / f"{number:04}.parquet", compression="zstd", row_group_size=32_768
        )


def measured(folder: Path, how: str) -> dict[str, float | str]:
    """Checks the parts in this process."""
    import pandas  # noqa: F401

    from spavl.stages.judgements.rows import Judgement
    from spavl.validation import check, find_suite, load_suite
    from spavl.validation.gx_import import great_expectations
    from spavl.validation.measures import measures_of

    great_expectations()
    suite = load_suite(find_suite("judgements"), Judgement)
    measures = dict.fromkeys(measures_of(Judgement), 0.99) | {
        "gold_num_items": 420.0,
        "gold_unparsable_share": 0.0,
        "gold_drift": 0.0,
    }
    before_mb, cpu, wall = _peak_mb(), time.process_time(), time.perf_counter()
    if how == "table":
        import pyarrow.parquet as pq

        report = check(pq.read_table(folder), suite, stage="judgements", measures=measures)
    else:
        from spavl.artifacts.engine import Engine
        from spavl.artifacts.store import open_store

        (folder / "scratch").mkdir(exist_ok=True)
        engine = Engine(open_store(str(folder)), folder / "scratch", folder / "cache")
        rows = engine.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet')")
        report = check(rows, suite, stage="judgements", measures=measures)
    return {
        "rows": report.num_rows,
        "met": f"{len(report.results) - len(report.failures())} of {len(report.results)}",
        "cpu_s": round(time.process_time() - cpu, 2),
        "wall_s": round(time.perf_counter() - wall, 2),
        "imports_mb": round(before_mb),
        "above_imports_mb": round(_peak_mb() - before_mb),
        "peak_mb": round(_peak_mb()),
    }


def _peak_mb() -> float:
    """Of this process; a process starts with the peak of the one that forked it, so that one must be small."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Makes the table in one process and checks it in another; both are this module with `--folder`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--as", dest="how", choices=("table", "relation"), default="relation")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        make_parts(given.folder, given.rows)
    elif given.folder:
        print(json.dumps(measured(given.folder, given.how)))
    else:
        with tempfile.TemporaryDirectory(prefix="spavl-check-speed-") as folder:
            command = [sys.executable, "-m", "tests.benchmarks.check_speed", "--folder", folder]
            subprocess.run([*command, "--make", "--rows", str(given.rows)], check=True)
            subprocess.run([*command, "--as", given.how], check=True)


if __name__ == "__main__":
    main()
