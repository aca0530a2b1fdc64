"""Watching: what is said once, what is renewed, and how long a former object is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.cluster_api import NAMESPACE, ClusterApi
from tests.cluster_plan import cluster_plan
from tests.cluster_workload import Workload, live, wait_for

from spavl.errors import TryAgain
from spavl.launch import life
from spavl.launch.cluster import Cluster
from spavl.launch.follow import Pace, follow, wait_until_clear
from spavl.launch.handle import Handle
from spavl.launch.wanted import wanted

PACE = Pace(poll_s=0.02, pending_timeout_s=30, num_server_restarts=3, renew_every_s=60)


def watched(api: ClusterApi, play: Callable[[Workload, list[str]], None], pace: Pace = PACE) -> list[str]:
    """What is said of a new object while `play` moves it to its end."""
    said: list[str] = []

    async def both() -> None:
        async with Cluster(NAMESPACE) as cluster:
            handle = await life.begin(cluster, wanted(cluster_plan(), "images", "seal"), "try-1")
            (job,) = live(api)
            await asyncio.gather(
                follow(cluster, handle, pace, said.append), asyncio.to_thread(play, job, said)
            )

    asyncio.run(asyncio.wait_for(both(), 60))
    return said


def test_each_change_and_each_new_progress_line_is_said_once(api: ClusterApi) -> None:
    def play(job: Workload, said: list[str]) -> None:
        wait_for(lambda: said)
        pod = job.add_pod()
        for line in ("images: 1/4 (25%)", "images: 2/4 (50%)"):
            job.run(pod, f"{line}\n")
            wait_for(lambda line=line: line in said)
        job.complete()

    said = watched(api, play)
    about = said[0].removesuffix(" waits to start")
    assert said == [
        f"{about} waits to start",
        f"{about} is running on node node-1",
        "images: 1/4 (25%)",
        "images: 2/4 (50%)",
        f"{about} succeeded",
    ]


def test_what_is_watched_long_enough_is_renewed(api: ClusterApi) -> None:
    former = "2026-01-01T00:00:00+00:00"

    def seen_at(job: Workload) -> str:
        return job.object["metadata"]["annotations"]["spavl.dev/seen-at"]

    renewed: list[str] = []

    def play(job: Workload, said: list[str]) -> None:
        with api.lock:
            job.object["metadata"]["annotations"]["spavl.dev/seen-at"] = former
        wait_for(lambda: seen_at(job) != former)
        renewed.append(seen_at(job))
        job.complete()

    watched(api, play, Pace(0.02, 30, 3, renew_every_s=0.1))
    assert renewed and renewed[0] > former


def test_seen_at_is_renewed_at_least_three_times_before_the_sweep_would_remove_it() -> None:
    def renewed_every_s(**launch: Any) -> float:
        return Pace.of(cluster_plan(launch).resolved.launch).renew_every_s

    assert renewed_every_s(orphaned_after_s=1800) == 60
    assert renewed_every_s(orphaned_after_s=60) == 20


def test_a_former_object_that_never_goes_ends_the_try(api: ClusterApi) -> None:
    work = wanted(cluster_plan(), "images", "seal")

    async def wait() -> None:
        async with Cluster(NAMESPACE) as cluster:
            first = await life.begin(cluster, work, "try-1")
            api.lingers = True
            await life.remove(cluster, first)
            waiting: Handle = await life.begin(cluster, work, "try-2")
            await wait_until_clear(cluster, waiting, Pace(0.02, 1, 3, 60), lambda words: None)

    with pytest.raises(TryAgain, match=r"cannot begin: Job spavl-\w+-1 is being removed for more than 1 s"):
        asyncio.run(wait())
