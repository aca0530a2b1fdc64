"""A user's mistake is one line and exit code 2, a store that goes away is exit code 75, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.line import environment, spavl, store_of, write_profile

from spavl.artifacts.lease import lease

PLAN = ("plan", "--dag", "refresh_preferences", "--airflow-run-id", "tonight")


def said(home: Path, *argv: str, expect: int = 2, **more: str) -> str:
    """What the command said on standard error; asserts its exit code and that a mistake is one line."""
    finished = subprocess.run(
        [sys.executable, "-m", "spavl", *argv],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == expect, finished.stderr
    assert "Traceback" not in finished.stderr
    lines = finished.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((*PLAN, "--profile", "dmeo"), "there is no profile 'dmeo'. Shipped are"),
        ((*PLAN, "--profile", "demo", "--set", "training.bta=1"), "training.bta is not a known key"),
        (
            (*PLAN, "--profile", "demo", "--set", "training.beta=-1"),
            "training.beta: Input should be greater than 0 (seen: -1)",
        ),
        ((*PLAN, "--profile", "demo"), "demo/world/models/bold"),
        (("images", "--run-id", "../../etc"), "'../../etc' is not a run id"),
        (("images", "--run-id", "20260101/0123456789"), "is not a run id"),
        (("seal", "images", "--run-id", "20260101-0123456789"), "there is no run 20260101-0123456789"),
        (("rollback", "--reason", "drill"), "channel 'stable' has no entries"),
        ((*PLAN[:2], "align_model", *PLAN[3:], "--profile", "figstep"), "has no dataset version yet"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_wrong(
    tmp_path: Path, argv: tuple[str, ...], words: str
) -> None:
    if "align_model" in argv:
        argv = (*argv[:-1], str(write_profile(tmp_path, num_per_leaf=0, num_per_benign=1)))
    assert words in said(tmp_path / "home", *argv)


def test_a_misspelt_expectation_stops_the_night_before_it_starts(tmp_path: Path) -> None:
    from spavl.validation import suites_folder

    suites = tmp_path / "expectations"
    shutil.copytree(suites_folder(), suites)
    for path in suites.glob("*.yaml"):
        path.write_text(
            path.read_text().replace("expect_column_values_to_be_unique", "expect_column_values_to_be_uniqe")
        )
    profile = write_profile(tmp_path, num_per_leaf=0, num_per_benign=1)
    line = said(tmp_path / "home", *PLAN, "--profile", str(profile), SPAVL_EXPECTATIONS=str(suites))
    assert "expect_column_values_to_be_uniqe" in line


def test_a_second_runner_on_the_same_run_is_told_to_wait(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run_id = spavl(
        home, *PLAN, "--profile", str(write_profile(tmp_path, num_per_leaf=0, num_per_benign=1))
    ).run_id
    with lease(store_of(home), f"runs/{run_id}/images/leases/prepare"):
        line = said(home, "prepare", "images", "--run-id", run_id, expect=75)
    assert f"process {os.getpid()} on" in line
    assert spavl(home, "prepare", "images", "--run-id", run_id).verdict == "done"


@pytest.mark.slow
def test_a_store_that_disappears_in_the_middle_of_a_stage_is_try_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    keys = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "2",
    }
    outside = {**keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "SPAVL_STORE": "s3://night/store"}
    try:
        _wait_for(port)
        _make_bucket(outside)
        profile = write_profile(tmp_path, num_per_leaf=2, num_per_benign=9, images={"chunk_size": 2})
        run_id = spavl(tmp_path / "home", *PLAN, "--profile", str(profile), **outside).run_id
        spavl(tmp_path / "home", "prepare", "images", "--run-id", run_id, **outside)
        work = [sys.executable, "-m", "spavl", "images", "--run-id", run_id, "--group", "drawings"]
        stage = subprocess.Popen(
            work,
            env=environment(tmp_path / "home", **outside),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in stage.stderr:
            if "images:" in line:  # the first progress line: the stage is at work
                server.kill()
                break
        rest = stage.communicate(timeout=120)[1]
    finally:
        server.kill()
        server.wait()
    assert stage.returncode == 75 and "the store does not answer" in rest and "nothing is lost" in rest


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the S3 server did not start")


def _make_bucket(outside: dict[str, str]) -> None:
    code = "import boto3; boto3.client('s3').create_bucket(Bucket='night')"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **outside}, check=True)
