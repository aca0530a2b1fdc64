"""Jobs on a real cluster, from begin to end: what a simulated API server cannot show, since nothing runs there."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import Any

import pytest
from tests.cluster.conftest import jobs_of, pods_of, until
from tests.cluster.work import says, to_the_end, work_of

from spavl.errors import UserError
from spavl.launch import life
from spavl.launch.cluster import Cluster
from spavl.launch.local import StepFailed


def test_a_jobs_counts_and_log_come_back(namespace: str, image: str, installation: str) -> None:
    lines: list[str] = []
    work = work_of(namespace, image, says(lines="hello from the pod", rows=3), installation=installation)
    assert to_the_end(work, say=lines.append).counts == {"rows": 3}
    assert "hello from the pod" in lines


def test_all_shards_are_done_and_their_counts_added(namespace: str, image: str, installation: str) -> None:
    program = says(rows=2).replace(
        "import os", "import os; assert os.environ['SPAVL_SHARD'] in '012'\nimport os"
    )
    work = work_of(namespace, image, program, installation=installation, num_shards=3)
    assert to_the_end(work).counts == {"rows": 6}


def test_a_shard_whose_pod_is_killed_is_done_by_another(
    api: Any, core: Any, namespace: str, image: str, installation: str
) -> None:
    work = work_of(namespace, image, says(sleep_s=15, rows=1), installation=installation, num_shards=3)
    watcher = _watch(namespace, image, installation, says(sleep_s=15, rows=1), num_shards=3)
    try:
        running = until(
            lambda: [
                pod for pod in pods_of(core, namespace, work.base_name) if pod.status.phase == "Running"
            ],
            "a shard is running",
        )
        killed = running[0]
        core.delete_namespaced_pod(killed.metadata.name, namespace)
        assert to_the_end(work, "second").counts == {"rows": 3}
    finally:
        watcher.kill()
        watcher.wait()
    (job,) = jobs_of(api, namespace, work.base_name)
    assert (job.status.succeeded, job.metadata.annotations["spavl.dev/generation"]) == (3, "1")


def test_a_users_mistake_is_not_tried_again(core: Any, namespace: str, image: str, installation: str) -> None:
    work = work_of(
        namespace,
        image,
        says(exit_code=2, error="there is no folder x"),
        installation=installation,
        num_retries=3,
    )
    with pytest.raises(StepFailed) as failed:
        to_the_end(work)
    assert failed.value.outcome.exit_code == 2
    assert "there is no folder x" in failed.value.outcome.error
    assert len(pods_of(core, namespace, work.base_name)) == 1


def test_a_failure_that_may_pass_is_tried_as_often_as_the_profile_says(
    core: Any, namespace: str, image: str, installation: str
) -> None:
    work = work_of(namespace, image, says(exit_code=75), installation=installation, num_retries=1)
    with pytest.raises(StepFailed) as failed:
        to_the_end(work)
    assert failed.value.outcome.exit_code == 75
    assert len(pods_of(core, namespace, work.base_name)) == 2


def test_the_job_of_a_killed_worker_is_adopted(
    api: Any, namespace: str, image: str, installation: str
) -> None:
    program = says(sleep_s=20, rows=1)
    work = work_of(namespace, image, program, installation=installation)
    worker = _watch(namespace, image, installation, program)
    (before,) = until(lambda: jobs_of(api, namespace, work.base_name), "the worker has made its Job")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert to_the_end(work, "second").counts == {"rows": 1}
    (after,) = jobs_of(api, namespace, work.base_name)
    assert after.metadata.uid == before.metadata.uid
    assert after.metadata.annotations["spavl.dev/owner"] == "second"


def test_a_kill_removes_job_and_pods_and_only_by_its_owner(
    api: Any, core: Any, namespace: str, image: str, installation: str
) -> None:
    work = work_of(namespace, image, says(sleep_s=250), installation=installation)

    async def kill() -> tuple[str, str]:
        async with Cluster(namespace) as cluster:
            mine = await life.begin(cluster, work, "first")
            theirs = await life.begin(cluster, work, "second")
            return await life.remove(cluster, mine), await life.remove(cluster, theirs)

    by_first, by_second = asyncio.run(kill())
    assert by_first.endswith("is left alone: another try watches it")
    assert by_second.endswith("is removed")
    until(lambda: not jobs_of(api, namespace, work.base_name), "the Job is gone")
    until(lambda: not pods_of(core, namespace, work.base_name), "its pods are gone")


def test_a_missing_secret_fails_the_task_and_leaves_nothing(
    api: Any, namespace: str, image: str, installation: str
) -> None:
    work = work_of(namespace, image, says(), installation=installation, secrets=["no-such-secret"])
    with pytest.raises(StepFailed) as failed:
        to_the_end(work)
    assert failed.value.outcome.exit_code == 2
    assert "no-such-secret" in failed.value.outcome.error
    until(lambda: not jobs_of(api, namespace, work.base_name), "the Job is gone")


def test_an_image_that_is_not_there_fails_the_task_and_leaves_nothing(
    api: Any, namespace: str, image: str, installation: str
) -> None:
    absent = f"{image.partition('@')[0].rpartition(':')[0]}:no-such-tag"
    work = work_of(namespace, absent, says(), installation=installation)
    with pytest.raises(StepFailed, match="no-such-tag"):
        to_the_end(work)
    until(lambda: not jobs_of(api, namespace, work.base_name), "the Job is gone")


def test_a_queue_that_does_not_exist_is_said_before_anything_is_made(
    api: Any, namespace: str, image: str, installation: str
) -> None:
    from tests.cluster.work import SMALL

    work = work_of(namespace, image, says(), installation=installation, cpu={**SMALL, "queue": "nowhere"})
    with pytest.raises(UserError, match=r"nowhere|Kueue"):
        to_the_end(work)
    assert jobs_of(api, namespace, work.base_name) == []


def _watch(
    namespace: str, image: str, installation: str, program: str, num_shards: int = 1
) -> subprocess.Popen[bytes]:
    """A worker process that begins the work and watches it."""
    words = [namespace, image, installation, program, str(num_shards)]
    return subprocess.Popen([sys.executable, "-m", "tests.cluster.work", *words])
