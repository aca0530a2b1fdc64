"""The night's numbers come from the store's records, and say what is new and what is reused."""

import hashlib
import io

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from spavl.artifacts import channel
from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.demo.summary import ALIGN, REFRESH, rate_lines, reuse_line, summarise, verdict_lines
from spavl.records import to_table
from spavl.stages.evaluation.rows import Score

REFRESH_RUN, ALIGN_RUN = "20261123-aaaaaaaaaa", "20261123-bbbbbbbbbb"
RUNS = {REFRESH: REFRESH_RUN, ALIGN: ALIGN_RUN}
CONFIG = Config(profile="demo")


def score(side: str, value: float, low: float, high: float, part: str = "all") -> Score:
    name = f"held_out_harm/greedy/{side}/{part}/unsafe_rate"
    return Score(
        name,
        "held_out_harm",
        "greedy",
        side,
        "r",
        part,
        "unsafe_rate",
        value,
        low,
        high,
        90,
        "rate_by_image",
        "rules",
        "1",
        low,
        high,
    )


SCORES = [
    score("base", 0.9, 0.82, 0.95),
    score("aligned", 0.05, 0.02, 0.12),
    score("change", -0.85, -0.92, -0.77),
    score("base", 0.5, 0.1, 0.9, part="class1=toxic"),
]


@pytest.fixture
def store(spavl_home):
    made = open_store()
    put(made, REFRESH_RUN, "images", {"rows": 300, "computed": 60, "reused": 240})
    put(made, REFRESH_RUN, "responses", {"rows": 1000, "computed": 200, "reused": 800})
    counts = {
        "rows": 40,
        "reused": 0,
        "computed": 0,
        "pairs": 50,
        "kept": 40,
        "benign_kept": 18,
        "dropped_tie": 7,
        "dropped_error": 0,
        "dropped_disagreement": 3,
    }
    put(made, REFRESH_RUN, "preferences", counts, {"position_bias": 0.02})
    put_scores(made)
    return made


def put(
    store, run_id: str, stage: str, counts: dict, details: dict | None = None, tables: dict | None = None
) -> None:
    record = Record(
        run_id,
        stage,
        "f",
        "2026-11-23T00:00:00+00:00",
        "0",
        {},
        {},
        tables or {},
        counts=counts,
        details=details or {},
    )
    store.write(record_path(run_id, stage), record.to_json())


def put_scores(store) -> None:
    buffer = io.BytesIO()
    pq.write_table(to_table(SCORES, Score), buffer)
    path = f"runs/{ALIGN_RUN}/evaluation/table.parquet"
    store.write(path, buffer.getvalue())
    table = {
        "path": path,
        "row_type": "Score",
        "num_rows": len(SCORES),
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    put(
        store,
        ALIGN_RUN,
        "evaluation",
        {"rows": len(SCORES), "reused": 0, "computed": 0},
        tables={"table": table},
    )


def publish(store, run_id: str) -> None:
    channel.append(
        store, "stable", channel.Entry(1, 0, "publish", run_id, "release", "f", "2026-11-23T00:00:00+00:00")
    )


def test_a_second_night_says_how_much_it_reused_and_how_much_it_computed(store):
    assert (
        reuse_line(summarise(store, CONFIG, RUNS))
        == "reused 1,040 rows of earlier nights, computed 260 new ones"
    )


def test_rates_carry_their_interval_and_leave_out_the_slices(store):
    rates = summarise(store, CONFIG, RUNS)["rates"]["greedy"]["unsafe_rate"]
    assert rates["aligned"] == {"value": 0.05, "low": 0.02, "high": 0.12, "n": 90}
    assert rates["base"]["value"] == 0.9
    cells = [list(column.cells) for column in rate_lines(summarise(store, CONFIG, RUNS), "greedy").columns]
    assert cells[2][0] == "5.0 [2.0, 12.0]"
    assert cells[3][0] == "-85.0 [-92.0, -77.0]"


def test_the_rates_fit_a_terminal_of_eighty_columns(store):
    written = io.StringIO()
    Console(file=written, width=80).print(rate_lines(summarise(store, CONFIG, RUNS), "greedy"))
    assert "…" not in written.getvalue()
    assert "n ≤ 90" in written.getvalue()


def test_pairs_say_why_others_were_dropped(store):
    (line,) = [line for line in verdict_lines(summarise(store, CONFIG, RUNS)) if line.startswith("pairs")]
    assert "40 kept of 50 (18 benign)" in line
    assert line.endswith("dropped: 7 tie, 3 disagreement")


def test_a_release_is_tonights_only_if_tonights_run_published_it(store):
    publish(store, ALIGN_RUN)
    assert summarise(store, CONFIG, RUNS)["release"] == {
        "channel": "stable",
        "entry": 1,
        "run_id": ALIGN_RUN,
        "is_new": True,
    }
    assert summarise(store, CONFIG, {REFRESH: REFRESH_RUN})["release"]["is_new"] is False


def test_a_blocked_gate_is_told_from_an_evaluation_that_did_not_run(store):
    assert summarise(store, CONFIG, RUNS)["gate"]["verdict"] == "passed"
    assert summarise(store, CONFIG, {REFRESH: REFRESH_RUN})["gate"] == {}
    other = "20261123-cccccccccc"
    store.write(f"runs/{other}/evaluation/evidence/report.json", b"{}")
    assert summarise(store, CONFIG, {ALIGN: other})["gate"]["verdict"] == "blocked"


def test_a_blocked_gate_shows_the_rates_that_blocked_it(store):
    other = "20261123-cccccccccc"
    store.write_table(f"runs/{other}/evaluation/evidence/table.parquet", to_table(SCORES, Score))
    blocked, passed = (summarise(store, CONFIG, {ALIGN: run})["rates"] for run in (other, ALIGN_RUN))
    assert blocked == passed != {}


def test_a_night_that_failed_at_its_first_stage_still_has_a_summary(spavl_home):
    summary = summarise(open_store(), CONFIG, {REFRESH: REFRESH_RUN})
    assert (summary["stages"], summary["pairs"], summary["judge"], summary["release"]) == ({}, {}, {}, {})
    assert rate_lines(summary, "greedy") is None
    assert verdict_lines(summary) == []
