"""Work for a cluster: the launcher's own manifests of a real plan, with a small Python program in the place of the command.

As a program: `python -m tests.cluster.work NAMESPACE IMAGE INSTALLATION PROGRAM NUM_SHARDS` begins that work and watches it, as a worker does.
"""

from __future__ import annotations

import asyncio
import copy
import sys
from collections.abc import Callable
from typing import Any

from tests.cluster_plan import RUN_ID, plan_of

from spavl.config.root import Config
from spavl.launch import life, names
from spavl.launch.cluster import Cluster
from spavl.launch.ending import Subject, settle
from spavl.launch.follow import Pace, follow
from spavl.launch.wanted import Wanted, from_manifest, wanted
from spavl.outcome import Outcome
from spavl.plan import Plan

SMALL = {"cpu": "50m", "cpu_limit": "1", "memory": "256Mi", "scratch": "100Mi", "grace_s": 5}
PENDING_TIMEOUT_S = 120.0  # an image of some hundred megabytes is pulled in that time


def work_of(
    namespace: str,
    image: str,
    program: str,
    *,
    installation: str = "tests",
    stage: str = "images",
    group: str = "drawings",
    num_shards: int = 1,
    **launch: Any,
) -> Wanted:
    """A group's Job, Indexed Job or TrainJob, exactly as the launcher makes it but for its command."""
    plan = _plan(namespace, image, installation, launch)
    made = wanted(plan, stage, "work", group, num_shards)
    manifest = copy.deepcopy(made.manifest)
    del manifest["metadata"]["annotations"][names.SPEC_HASH]
    command = ["python", "-c", program]
    if made.kind == names.JOB:
        manifest["spec"]["template"]["spec"]["containers"][0]["command"] = command
    else:
        manifest["spec"]["trainer"]["command"] = command
    return from_manifest(
        manifest,
        base_name=made.base_name,
        num_shards=num_shards,
        container=made.container,
        queue=made.queue,
    )


def says(*, exit_code: int = 0, sleep_s: float = 0, lines: str = "", error: str = "", **counts: int) -> str:
    """A program that prints, sleeps, leaves an outcome as `spavl` does, and ends with an exit code."""
    outcome = Outcome(
        "images",
        "work",
        RUN_ID,
        "failed" if exit_code else "done",
        exit_code,
        counts=counts,
        error=error,
    )
    return "\n".join((
        "import os, sys, time",
        f"print({lines!r}, flush=True)",
        f"time.sleep({sleep_s})",
        f"line = {outcome.to_line()!r}",
        "print(line, flush=True)",
        "open(os.environ['SPAVL_TERMINATION_LOG'], 'w').write(line)",
        f"sys.exit({exit_code})",
    ))  # fmt: skip


def chart_values(image: str, store_url: str, secrets: list[str]) -> dict[str, Any]:
    """The chart as it is installed for a test: no Airflow, and one image for everything."""
    return {
        "store": {"url": store_url},
        "images": {"data": image, "training": image},
        "launcher": {"image": image},
        "secrets": secrets,
    }


def to_the_end(work: Wanted, owner: str = "try-1", say: Callable[[str], None] = print) -> Outcome:
    """Begin or adopt, watch, settle: what `spavl run` does with a group."""

    async def run() -> Outcome:
        async with Cluster(work.namespace) as cluster:
            handle = await life.begin(cluster, work, owner)
            pace = Pace(1.0, PENDING_TIMEOUT_S, 3, 60.0)
            seen = await follow(cluster, handle, pace, say)
            return await settle(cluster, handle, seen, Subject("images", "work", RUN_ID), say)

    return asyncio.run(run())


def _plan(namespace: str, image: str, installation: str, launch: dict[str, Any]) -> Plan:
    base = {"kind": "transformers", "name": "base", "path": "organisation/base", "revision": "beef"}
    config = Config.model_validate({
        "profile": "cluster-tests",
        "installation": installation,
        "training": {"base": base},
        "launch": {
            "kind": "kubernetes",
            "namespace": namespace,
            "images": {"data": image, "training": image},
            "env": {"SPAVL_STORE": "s3://bucket/tests"},
            "cpu": SMALL,
            "training": SMALL,
            "timeout_s": 300,
            "num_retries": 1,
            **launch,
        },
    })  # fmt: skip
    return plan_of(config)


if __name__ == "__main__":
    NAMESPACE, IMAGE, INSTALLATION, PROGRAM, NUM_SHARDS = sys.argv[1:]
    to_the_end(
        work_of(NAMESPACE, IMAGE, PROGRAM, installation=INSTALLATION, num_shards=int(NUM_SHARDS)),
        "killed-worker",
    )
