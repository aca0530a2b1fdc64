"""One line per stage from what Airflow says about its tasks."""

import datetime
import io

import pytest
from rich.console import Console

from spavl.demo.following import Screen, StageLine, count_words, stage_seconds, stage_state


def task(name: str, state: str | None, start: str | None = None, end: str | None = None) -> dict:
    return {"task_id": name, "state": state, "start_date": start, "end_date": end}


@pytest.mark.parametrize(
    ("prepare", "work", "seal", "expected"),
    [
        (None, None, None, "waiting"),
        ("queued", None, None, "running"),
        ("success", "running", None, "running"),
        ("success", "up_for_retry", None, "retrying"),
        ("success", "failed", "upstream_failed", "failed"),
        ("success", "success", "failed", "failed"),
        ("success", "skipped", "running", "running"),
        ("success", "skipped", "success", "done"),
        ("upstream_failed", "upstream_failed", "upstream_failed", "not reached"),
        ("skipped", "skipped", "skipped", "skipped"),
    ],
)
def test_the_state_of_a_stage(prepare, work, seal, expected):
    tasks = [
        task("images.prepare", prepare),
        task("images.work", work),
        task("images.seal", seal),
        task("plan", "failed"),
    ]
    assert stage_state("images", tasks) == expected


def test_one_failed_group_makes_its_stage_failed():
    tasks = [
        task("responses.work", "success"),
        task("responses.work", "failed"),
        task("responses.seal", None),
    ]
    assert stage_state("responses", tasks) == "failed"


def test_seconds_run_from_the_first_start_to_the_last_end():
    tasks = [
        task("images.prepare", "success", "2026-11-23T00:00:00Z", "2026-11-23T00:00:02Z"),
        task("images.seal", "success", "2026-11-23T00:00:05Z", "2026-11-23T00:00:09Z"),
    ]
    now = datetime.datetime(2026, 11, 23, 1, tzinfo=datetime.UTC)
    assert stage_seconds("images", tasks, now) == 9
    assert stage_seconds("questions", tasks, now) is None


def test_counts_say_what_is_new_and_what_is_reused():
    assert count_words({"rows": 1234, "computed": 234, "reused": 1000}) == "1,234 rows: 234 new, 1,000 reused"
    assert count_words({"rows": 9, "computed": 0, "reused": 0}) == "9 rows"


def test_without_a_terminal_each_change_is_one_line():
    written = io.StringIO()
    screen = Screen(Console(file=written, width=100))
    with screen.watching():
        for state in ("waiting", "running", "running", "done"):
            screen.show([StageLine("images", state, "318 rows" if state == "done" else "", 4.0)])
    lines = written.getvalue().splitlines()
    assert [line.split()[2] for line in lines] == ["running", "done"]
    assert lines[-1].endswith("318 rows")


def test_a_release_that_waits_for_a_person_says_so():
    from spavl.demo.watching import _asked

    tasks = [task("release.approve", "awaiting_input"), task("release.seal", None)]
    assert stage_state("release", tasks) == "running"
    assert "waits for a person" in _asked("release", tasks)
    assert _asked("release", [task("release.approve", "skipped")]) == ""


def test_a_rejected_release_is_a_failed_one():
    tasks = [task("release.approve", "failed"), task("release.seal", "upstream_failed")]
    assert stage_state("release", tasks) == "failed"
