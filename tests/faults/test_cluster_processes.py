"""Real processes that run steps on a cluster and are killed, or asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from tests.cluster_plan import RUN_ID
from tests.cluster_workload import live, wait_for

from spavl.outcome import Outcome

PROGRAM = """
import sys
from tests.cluster_plan import cluster_plan
from spavl.launch import LAUNCHERS
plan = cluster_plan({"poll_s": 0.05})
LAUNCHERS["kubernetes"].step(plan, "images", "seal", on_line=lambda line: print(line, flush=True))
"""


def a_process() -> subprocess.Popen[str]:
    """A process that runs a step on the cluster to its end."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hears_ctrl_c,
    )  # fmt: skip


def hears_ctrl_c() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_process_that_is_killed_leaves_its_job_to_the_next_one(api) -> None:
    first = a_process()
    (job,) = wait_for(lambda: live(api))
    job.run(job.add_pod())
    first.kill()
    first.communicate()
    owner = job.owner()
    second = a_process()
    wait_for(lambda: job.owner() != owner)
    job.succeed(api.of("core/pods")[0]["metadata"]["name"], Outcome("images", "seal", RUN_ID))
    job.complete()
    said, errors = second.communicate(timeout=30)
    assert second.returncode == 0, errors
    assert "is adopted" in said and len(api.of("batch/jobs")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_asked_to_stop_removes_what_it_began(api, number) -> None:
    process = a_process()
    (job,) = wait_for(lambda: live(api))
    wait_for(lambda: "spavl" in process.stdout.readline())
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0 and not job.exists()
