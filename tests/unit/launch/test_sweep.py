"""The sweep removes what nobody watches, of its own installation, and nothing else."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

from tests.cluster_api import NAMESPACE, ClusterApi
from tests.line import spavl

from spavl.config import KubernetesLaunch
from spavl.launch import names
from spavl.launch.sweep import Swept, sweep

NOW = datetime.datetime(2026, 11, 25, 12, 0, 0, tzinfo=datetime.UTC)
RESOURCES = {"Job": "batch/jobs", "TrainJob": "trainer.kubeflow.org/trainjobs"}


def put(api: ClusterApi, name: str, *, kind: str = "Job", installation: str = "here", seen_minutes_ago: float = 0, ended_hours_ago: float | None = None, **metadata: Any) -> None:  # fmt: skip
    seen_at = NOW - datetime.timedelta(minutes=seen_minutes_ago)
    made: dict[str, Any] = {
        "metadata": {
            "name": name,
            "labels": names.labels(installation, "r", "images", "work", "spavl-b"),
            "annotations": {"spavl.dev/seen-at": seen_at.isoformat(), "spavl.dev/owner": "try-1"},
            **metadata,
        },
        "status": {},
    }
    if ended_hours_ago is not None:
        ended = NOW - datetime.timedelta(hours=ended_hours_ago)
        made["status"] = {
            "conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": ended.isoformat()}]
        }
    api.put(RESOURCES[kind], made)


def left(api: ClusterApi) -> set[str]:
    return {name for resource, name in api.objects if resource in RESOURCES.values()}


def swept(trainjob: bool = False) -> Swept:
    launch = KubernetesLaunch(
        kind="kubernetes", namespace=NAMESPACE, orphaned_after_s=1800, trainjob={} if trainjob else None
    )
    return asyncio.run(sweep(launch, "here", NOW))


def test_what_nobody_has_watched_for_long_is_removed_with_the_reason(api: ClusterApi) -> None:
    put(api, "watched", seen_minutes_ago=29)
    put(api, "orphan", seen_minutes_ago=31)
    done = swept()
    assert left(api) == {"watched"}
    assert done == Swept(
        2,
        ("Job spavl/orphan: nobody has watched it for 31 minutes (launch.orphaned_after_s is 1800 s)",),
    )


def test_another_installations_objects_and_strangers_are_left_alone(api: ClusterApi) -> None:
    put(api, "theirs", installation="elsewhere", seen_minutes_ago=999)
    api.put("batch/jobs", {"metadata": {"name": "stranger", "labels": {"app": "x"}}})
    assert swept() == Swept(0, ()) and left(api) == {"theirs", "stranger"}


def test_finished_jobs_are_left_to_their_own_time_to_live_and_finished_trainjobs_go_after_a_day(
    api: ClusterApi,
) -> None:
    put(api, "job", seen_minutes_ago=9999, ended_hours_ago=30)
    put(api, "fresh", kind="TrainJob", seen_minutes_ago=9999, ended_hours_ago=23)
    put(api, "old", kind="TrainJob", seen_minutes_ago=9999, ended_hours_ago=25)
    assert [words.split(":")[0] for words in swept(trainjob=True).removed] == ["TrainJob spavl/old"]
    assert left(api) == {"job", "fresh"}


def test_an_orphaned_trainjob_is_removed(api: ClusterApi) -> None:
    put(api, "orphan", kind="TrainJob", seen_minutes_ago=31)
    swept(trainjob=True)
    assert left(api) == set()


def test_trainjobs_are_not_asked_for_where_the_profile_has_none(api: ClusterApi) -> None:
    api.served.discard("trainer.kubeflow.org/v1alpha1/trainjobs")
    swept()
    assert {rights for _, rights, _ in api.calls} == {"batch/jobs"}


def test_what_is_terminating_already_is_left_alone(api: ClusterApi) -> None:
    put(api, "leaving", seen_minutes_ago=99, deletionTimestamp="2026-11-25T11:59:00Z")
    assert swept().removed == ()


def test_an_object_that_was_adopted_since_it_was_listed_stays(api: ClusterApi, monkeypatch) -> None:
    put(api, "orphan", seen_minutes_ago=99)
    known = ClusterApi._list

    def list_then_adopt(self, request, resource):
        answer = known(self, request, resource)
        self.changed("batch/jobs", "orphan")
        return answer

    monkeypatch.setattr(ClusterApi, "_list", list_then_adopt)
    assert swept().removed == () and left(api) == {"orphan"}


def test_an_object_without_a_readable_seen_at_counts_from_its_creation(api: ClusterApi) -> None:
    put(api, "old", creationTimestamp="2026-11-25T11:00:00Z", annotations={"spavl.dev/seen-at": "yesterday"})
    put(api, "new", creationTimestamp="2026-11-25T11:59:00Z", annotations={})
    swept()
    assert left(api) == {"new"}


def test_the_command_tells_what_it_removed(api: ClusterApi, tmp_path: Path, spavl_home: Path) -> None:
    put(api, "orphan", installation="here", seen_minutes_ago=60 * 24 * 365)
    profile = tmp_path / "profile.yaml"
    profile.write_text(f"installation: here\nlaunch: {{kind: kubernetes, namespace: {NAMESPACE}}}\n")
    outcome = spavl(spavl_home, "sweep", "--profile", str(profile))
    assert outcome.counts == {"seen": 1, "removed": 1} and left(api) == set()


def test_a_local_profile_has_nothing_to_sweep(spavl_home: Path) -> None:
    assert "nothing to sweep" in spavl(spavl_home, "sweep", "--profile", "demo").next_step
