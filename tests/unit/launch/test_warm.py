"""A warm server's child behaves as an ordinary process does, and whatever cannot be warm is one."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from spavl.launch import StepFailed, run_command, warm

SEEN_AT_IMPORT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
HERE = Path(__file__).parents[3]


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    """A server that holds one module; the socket's folder has a short name."""
    monkeypatch.chdir(HERE)
    path = f"/tmp/spavl-test-{os.getpid()}-{time.monotonic_ns()}"
    process = warm.serve_in_background(path, {**os.environ, **SEEN_AT_IMPORT}, ["json.tool"])
    assert warm.wait_until_ready(path, 30)
    monkeypatch.setenv(warm.SOCKET, path)
    yield process
    process.stdin.close()
    process.wait(10)
    os.unlink(path)


def child(word: str) -> list[str]:
    return [sys.executable, "-m", "tests.warm_child", word]


def run(word: str, **options) -> tuple[dict[str, int], list[str]]:
    lines: list[str] = []
    outcome = run_command(
        child(word), timeout_s=options.pop("timeout_s", 30), on_line=lines.append, **options
    )
    return outcome.counts, lines


def test_a_warm_child_has_the_callers_folder_and_variables_and_the_servers_modules(server, spavl_home):
    counts, lines = run("hello")
    assert counts["parent"] == server.pid and counts["session"] == counts["pid"]
    assert lines == [f"hello: {HERE} {spavl_home} True"]


def test_children_run_side_by_side_and_each_gets_its_own_output(server):
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: run(f"word{number}"), range(8)))
    assert [lines[0].split(":")[0] for _, lines in results] == [f"word{number}" for number in range(8)]
    assert len({counts["pid"] for counts, _ in results}) == 8


def test_a_failed_child_raises_with_its_own_words_and_exit_code(server):
    with pytest.raises(StepFailed, match="too few rows") as caught:
        run("fail")
    assert caught.value.exit_code == 3


def test_a_killed_child_is_told_by_its_signal(server):
    with pytest.raises(StepFailed, match=r"killed by signal 9; its last lines: die"):
        run("die")


def test_a_child_that_takes_too_long_is_stopped(server):
    with pytest.raises(StepFailed, match="stopped after 2 s"):
        run("sleep", timeout_s=2)


def test_a_server_that_dies_takes_its_child_along(server):
    started: list[int] = []

    def kill_the_server(pid: int) -> None:
        started.append(pid)
        os.kill(server.pid, signal.SIGKILL)

    with pytest.raises(StepFailed, match="killed by signal 9"):
        run("sleep", on_start=kill_the_server)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Path(f"/proc/{started[0]}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{started[0]}").exists()


def test_another_environment_at_import_starts_an_ordinary_process(server):
    counts, lines = run("hello", num_threads=2)
    assert counts["parent"] == os.getpid() and lines[0].endswith("False")


def test_changed_sources_start_an_ordinary_process(server, monkeypatch):
    monkeypatch.setattr(warm, "held", lambda environment: "of other sources")
    assert run("hello")[0]["parent"] == os.getpid()


def test_a_server_that_is_gone_costs_nothing_but_time(server):
    server.kill()
    server.wait()
    assert run("hello")[0]["parent"] == os.getpid()


def test_a_server_ends_with_the_process_that_started_it(server):
    server.stdin.close()
    assert server.wait(10) == 0
