"""The local launcher streams, gives back the outcome, and leaves no process behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from spavl.config import LocalLaunch
from spavl.launch import StepFailed, run_command
from spavl.launch.command import num_processes, plan_command, stage_command
from spavl.outcome import Outcome


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_lines_are_streamed_and_the_outcome_line_is_returned() -> None:
    lines: list[str] = []
    line = Outcome("images", "seal", "20260101-aaaaaaaaaa", counts={"rows": 3}).to_line()
    outcome = run_command(
        python(f"import sys; print('working', file=sys.stderr); print({line!r})"),
        timeout_s=30,
        on_line=lines.append,
    )
    assert outcome == Outcome("images", "seal", "20260101-aaaaaaaaaa", counts={"rows": 3}) and lines == [
        "working"
    ]


def test_a_failed_command_raises_with_its_own_words() -> None:
    line = Outcome("images", "seal", "", "failed", 3, error="too few rows").to_line()
    with pytest.raises(StepFailed, match="too few rows") as caught:
        run_command(python(f"import sys; print({line!r}); sys.exit(3)"), timeout_s=30)
    assert caught.value.exit_code == 3


def test_a_process_that_dies_without_a_word_gives_its_last_lines() -> None:
    with pytest.raises(StepFailed, match=r"killed by signal 9; its last lines: almost"):
        run_command(
            python("import os, signal; print('almost', flush=True); os.kill(os.getpid(), signal.SIGKILL)"),
            timeout_s=30,
        )


def test_exit_zero_without_an_outcome_line_is_a_failure() -> None:
    with pytest.raises(StepFailed, match="no outcome line"):
        run_command(python("print('hello')"), timeout_s=30)


def test_a_command_that_takes_too_long_is_stopped_with_its_children(tmp_path) -> None:
    code = f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(60)"
    with pytest.raises(StepFailed, match="stopped after 3 s"):
        run_command(python(code), timeout_s=3)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _is_running(child):
        time.sleep(0.05)
    assert not _is_running(child)


def test_argv_carries_ids_and_only_plan_names_a_profile() -> None:
    argv = stage_command("responses", "work", "20260101-aaaaaaaaaa", group="bold", shard=1, num_shards=4)
    assert argv[1:] == [
        "-m",
        "spavl",
        "responses",
        "--run-id",
        "20260101-aaaaaaaaaa",
        "--group",
        "bold",
        "--shard",
        "1/4",
    ]
    assert stage_command("images", "seal", "20260101-aaaaaaaaaa")[3:] == [
        "seal",
        "images",
        "--run-id",
        "20260101-aaaaaaaaaa",
    ]
    assert "--profile" in plan_command("align_model", "manual", "demo") and "--profile" not in argv


def test_several_training_processes_are_the_same_words_under_torchrun() -> None:
    launch = LocalLaunch(num_training_processes=4)
    assert (num_processes("training", launch), num_processes("responses", launch)) == (4, 1)
    place = {"group": "dpo", "shard": 0, "num_shards": 1}
    alone = stage_command("training", "work", "20260101-aaaaaaaaaa", **place)
    together = stage_command("training", "work", "20260101-aaaaaaaaaa", **place, num_processes=4)
    assert together == [
        *alone[:2], "torch.distributed.run", "--standalone", "--nproc-per-node", "4", *alone[1:],
    ]  # fmt: skip
    assert stage_command("training", "seal", "20260101-aaaaaaaaaa", num_processes=4)[3] == "seal"


def test_every_argv_is_understood_by_the_command_line() -> None:
    from spavl.__main__ import _parser

    for argv in (
        stage_command("images", "prepare", "20260101-aaaaaaaaaa"),
        stage_command("images", "work", "20260101-aaaaaaaaaa", group="g"),
        stage_command("dataset", "seal", "20260101-aaaaaaaaaa"),
        plan_command(
            "align_model",
            "manual",
            "demo",
            overrides=["a.b=c"],
            logical_date="2026-01-01",
            dataset_run="20260101-aaaaaaaaaa",
        ),
    ):
        assert _parser().parse_args(argv[3:]).command


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        "Z"
        not in subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout
    )
