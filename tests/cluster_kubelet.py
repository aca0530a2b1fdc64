"""A kubelet for the simulated cluster: it really runs the command of every pod, as a process of this machine, and reports its end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster_api import ClusterApi
from tests.cluster_workload import Workload, live

from spavl.outcome import parse


@contextmanager
def running_pods(api: ClusterApi, folder: Path) -> Iterator[list[list[str]]]:
    """Inside, every Job that may start is run to its end, one pod after the other; yields the argv of all that ran."""
    ran: list[list[str]] = []
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.05):
            for job in live(api):
                if not job.object["spec"].get("suspend"):
                    _run(api, job, folder, ran)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield ran
    finally:
        done.set()
        thread.join(60)


def _run(api: ClusterApi, job: Workload, folder: Path, ran: list[list[str]]) -> None:
    pod_spec = job.object["spec"]["template"]["spec"]
    (container,) = pod_spec["containers"]
    for shard in range(job.object["spec"].get("completions", 1)):
        pod = job.add_pod(shard)
        job.run(pod)
        finished, message = _execute(container, shard, folder / pod)
        ran.append(finished.args)
        if finished.returncode:
            job.fail(pod, finished.returncode, message=message, log=finished.stdout)
            job.give_up("PodFailurePolicy")
            return
        outcome = parse(message)
        assert outcome is not None
        job.succeed(pod, outcome, log=finished.stdout.rsplit(message, 1)[0])
    job.complete()


def _execute(
    container: dict[str, Any], shard: int, home: Path
) -> tuple[subprocess.CompletedProcess[str], str]:
    """The container's own argv and literal environment; its home and its interpreter are this machine's."""
    home.mkdir(parents=True)
    literal = {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}
    here = {
        "HOME": str(home),
        "SPAVL_HOME": str(home / "state"),
        "SPAVL_TERMINATION_LOG": str(home / "termination-log"),
    }
    argv = [
        word.replace("$(SPAVL_SHARD)", str(shard)).replace("$$", "$")
        for word in [*container["command"], *container.get("args", [])]
    ]
    assert argv[0] == "python"
    finished = subprocess.run(
        [sys.executable, *argv[1:]],
        env={**os.environ, **literal, **here},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return finished, (home / "termination-log").read_text()
