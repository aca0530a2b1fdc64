"""What can happen to a task that runs on a cluster, event by event: the README's table, through the operator and its trigger."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cluster_api import ClusterApi
from tests.cluster_plan import RUN_ID, cluster_plan
from tests.cluster_workload import Workload, live, wait_for

from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import open_store
from spavl.outcome import Outcome
from spavl.plan import plan_path, read_plan
from spavl.run import StageRun, work_list
from spavl.run.work_list import Group, WorkList

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="spavl-test-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

DONE = Outcome("images", "work", RUN_ID, counts={"computed": 4})


def planned(**launch: Any) -> None:
    """The run's plan is in the store."""
    plan = cluster_plan({"poll_s": 0.05, "pending_timeout_s": 30, **launch})
    open_store().write(plan_path(RUN_ID), plan.to_json())


def operator(step: str = "work") -> Any:
    from spavl.airflow.steps import StepOperator

    group = {"group": "drawings", "num_shards": 1} if step == "work" else None
    return StepOperator(task_id=step, stage="images", step=step, spavl_run=RUN_ID, group=group)


def begin(ti_id: str, step: str = "work") -> Any:
    """A worker runs the task's first part; returns what it leaves behind, the trigger as the database keeps it."""
    from airflow.sdk.exceptions import TaskDeferred

    with pytest.raises(TaskDeferred) as deferred:
        operator(step).execute({"ti": SimpleNamespace(id=ti_id)})
    return deferred.value


def trigger_of(deferred: Any) -> Any:
    """The trigger as a triggerer makes it, from the database's words."""
    from airflow.sdk._shared.module_loading import import_string

    classpath, kept = deferred.trigger.serialize()
    return import_string(classpath)(**json.loads(json.dumps(kept)))


async def fired(trigger: Any) -> dict[str, Any]:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


def watch(deferred: Any, play: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """A triggerer watches to the end while `play` moves the cluster; returns the event."""

    async def both() -> dict[str, Any]:
        event, _ = await asyncio.gather(fired(trigger_of(deferred)), asyncio.to_thread(play))
        return event

    return asyncio.run(asyncio.wait_for(both(), 60))


def resume(event: dict[str, Any], step: str = "work") -> Any:
    """A worker runs the task's last part."""
    return operator(step).resume({"ti": None}, event=event)


def succeed(job: Workload) -> None:
    job.succeed(job.add_pod(), DONE, log="all done\n")
    job.complete()


@pytest.fixture
def task_log() -> Iterator[Callable[[], str]]:
    """What triggers have written, which Airflow shows as the task's log."""
    from structlog.testing import capture_logs

    import spavl.airflow.trigger  # noqa: F401 - Airflow sets up its logs when it is first imported: not below

    with capture_logs() as entries:
        yield lambda: "\n".join(str(entry["event"]) for entry in list(entries))


def test_no_worker_is_held_while_the_job_runs_and_its_log_and_counts_are_shown_at_the_end(
    api: ClusterApi, capsys
) -> None:
    planned()
    deferred = begin("try-1")
    event = watch(deferred, lambda: succeed(live(api)[0]))
    assert event["phase"] == "succeeded"
    assert resume(event) is None
    assert "all done" in capsys.readouterr().out


def test_a_step_that_is_done_makes_no_pod_and_holds_no_worker(api: ClusterApi, capsys) -> None:
    planned()
    store, plan = open_store(), read_plan(open_store(), RUN_ID)
    plan = replace(plan, suites={"images": ""})
    store.write(plan_path(RUN_ID), plan.to_json())
    group = Group("drawings", 1, 3)
    work_list.commit(store, RUN_ID, "images", WorkList(3, (group,), {}))
    assert operator("prepare").execute({}) == [{"group": "drawings", "num_shards": 1}]
    store.write(work_list.part_path(RUN_ID, "images", "drawings", 0, 0), b"rows")
    assert operator("work").execute({}) is None
    fingerprint = StageRun(store, plan, "images").fingerprint
    record = Record(RUN_ID, "images", fingerprint, "2026", "0", {}, {}, {}, counts={"rows": 3})
    store.create(record_path(RUN_ID, "images"), record.to_json())
    assert operator("seal").execute({}) == RUN_ID
    assert operator("prepare").execute({}) == []
    assert live(api) == []
    assert capsys.readouterr().out.count("already done") == 4


def test_worker_killed_the_next_try_adopts(api: ClusterApi) -> None:
    planned()
    begin("try-1")
    begin("try-2")
    assert [job.owner() for job in live(api)] == ["try-2"]


def test_triggerer_restarted_the_next_one_goes_on(api: ClusterApi) -> None:
    """The first is cancelled as at a shutdown: the job stays, and a trigger made from the same words sees its end."""
    planned()
    deferred = begin("try-1")
    (job,) = live(api)

    async def cut_off() -> None:
        trigger = trigger_of(deferred)
        running = asyncio.create_task(fired(trigger))
        await asyncio.sleep(0.3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await trigger.cleanup()

    asyncio.run(cut_off())
    assert job.exists()
    assert watch(deferred, lambda: succeed(job))["phase"] == "succeeded"


def test_pod_evicted_the_job_makes_another_and_the_log_says_so(api: ClusterApi, task_log) -> None:
    planned()
    deferred = begin("try-1")
    (job,) = live(api)

    def play() -> None:
        job.disrupt(job.add_pod(), "EvictionByEvictionAPI", "node is drained")
        wait_for(lambda: "EvictionByEvictionAPI: node is drained" in task_log())
        succeed(job)

    event = watch(deferred, play)
    assert event["phase"] == "succeeded" and resume(event) is None


def test_node_lost_the_job_makes_another_and_the_log_says_so(api: ClusterApi, task_log) -> None:
    planned()
    deferred = begin("try-1")
    (job,) = live(api)

    def play() -> None:
        lost = job.add_pod()
        job.run(lost)
        wait_for(lambda: "is running on node node-1" in task_log())
        job.disrupt(lost, "DeletionByTaintManager", "node is unreachable")
        wait_for(lambda: "DeletionByTaintManager" in task_log())
        succeed(job)

    assert watch(deferred, play)["phase"] == "succeeded"


def test_node_lost_for_ever_the_try_ends_and_the_next_begins_anew(api: ClusterApi) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    planned(pending_timeout_s=1)
    deferred = begin("try-1")
    (job,) = live(api)

    def play() -> None:
        lost = job.add_pod()
        with api.lock:  # its kubelet is gone: it was asked to end long ago, and nobody says that it has
            metadata = api.objects["core/pods", lost]["metadata"]
            metadata["creationTimestamp"] = metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            job.run(lost)

    event = watch(deferred, play)
    with pytest.raises(AirflowException, match="is ending on node node-1") as caught:
        resume(event)
    assert not isinstance(caught.value, AirflowFailException) and not job.exists()
    begin("try-2")
    assert [one.owner() for one in live(api)] == ["try-2"]


def test_task_cleared_the_new_try_keeps_the_job_that_the_old_triggers_on_kill_would_remove(
    api: ClusterApi,
) -> None:
    planned()
    former = begin("try-1")
    begin("try-2")
    asyncio.run(trigger_of(former).on_kill())
    assert [job.owner() for job in live(api)] == ["try-2"]
    assert watch(former)["phase"] == "taken"


def test_task_stopped_while_deferred_its_job_and_pods_are_removed(api: ClusterApi) -> None:
    planned()
    deferred = begin("try-1")
    (job,) = live(api)
    job.run(job.add_pod())
    asyncio.run(trigger_of(deferred).on_kill())
    assert api.of("batch/jobs") == api.of("core/pods") == []


def test_worker_stopped_before_airflow_has_taken_the_deferral_its_job_is_removed(api: ClusterApi) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    planned()
    stopped = operator()
    with pytest.raises(TaskDeferred):
        stopped.execute({"ti": SimpleNamespace(id="try-1")})
    stopped.on_kill()
    assert api.of("batch/jobs") == []


def test_worker_stopped_while_it_begins_its_job_is_removed(api: ClusterApi, monkeypatch) -> None:
    """SIGTERM while the answer to the creation is on its way."""
    from airflow.sdk.exceptions import AirflowException

    planned()
    create = ClusterApi._create

    def create_and_stop(self, request, resource):
        made = create(self, request, resource)
        os.kill(os.getpid(), signal.SIGTERM)
        return made

    monkeypatch.setattr(ClusterApi, "_create", create_and_stop)
    with pytest.raises(AirflowException, match="stopped by SIGTERM"):
        operator().execute({"ti": SimpleNamespace(id="try-1")})
    assert api.of("batch/jobs") == []


def test_queue_full_the_task_waits_without_a_limit_and_says_so(api: ClusterApi, task_log) -> None:
    planned(cpu={"queue": "night"}, pending_timeout_s=1)
    api.put("kueue.x-k8s.io/localqueues", {"metadata": {"name": "night"}})
    deferred = begin("try-1")
    (job,) = live(api)
    job.object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"

    def play() -> None:
        wait_for(lambda: "waits in queue 'night'" in task_log())
        job.admit()
        succeed(job)

    assert watch(deferred, play)["phase"] == "succeeded"


def test_cluster_away_for_a_while_the_job_goes_on_and_so_does_its_watcher(
    api: ClusterApi, task_log, monkeypatch
) -> None:
    """An outage longer than all retries of one call."""
    monkeypatch.setattr("spavl.launch.cluster.RETRY_DELAYS_S", (0.01,))
    planned()
    deferred = begin("try-1")
    (job,) = live(api)

    def play() -> None:
        job.run(job.add_pod())
        wait_for(lambda: "is running" in task_log())
        api.is_away = True
        wait_for(lambda: "What was begun goes on; looking again." in task_log())
        succeed(job)
        api.is_away = False
        wait_for(lambda: "the cluster answers again" in task_log())

    assert watch(deferred, play)["phase"] == "succeeded"


def test_cluster_away_for_longer_than_pods_may_wait_ends_the_try_and_the_next_adopts(
    api: ClusterApi, monkeypatch
) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    monkeypatch.setattr("spavl.launch.cluster.RETRY_DELAYS_S", (0.01,))
    planned(pending_timeout_s=1)
    deferred = begin("try-1")
    api.is_away = True
    event = watch(deferred)
    assert event["exit_code"] == 75 and "launch.pending_timeout_s is 1" in event["error"]
    api.is_away = False
    with pytest.raises(AirflowException, match="has not answered") as caught:
        resume(event)
    assert not isinstance(caught.value, AirflowFailException)
    begin("try-2")
    assert [job.owner() for job in live(api)] == ["try-2"]


def test_job_removed_by_somebody_else_the_task_tries_again(api: ClusterApi) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    planned()
    deferred = begin("try-1")
    event = watch(deferred, lambda: api.objects.clear())
    assert event["phase"] == "gone"
    with pytest.raises(AirflowException, match="was removed by somebody else") as caught:
        resume(event)
    assert not isinstance(caught.value, AirflowFailException)


def test_former_job_still_ending_the_task_waits_deferred_and_then_begins(api: ClusterApi) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    planned()
    first = begin("try-1")
    api.lingers = True
    asyncio.run(trigger_of(first).on_kill())
    waiting = begin("try-2")
    assert waiting.trigger.handle.name == ""
    event = watch(waiting, api.let_go)
    assert event["phase"] == "clear"
    with pytest.raises(TaskDeferred) as again:
        resume(event)
    (job,) = live(api)
    assert job.owner() == "try-2" and again.value.trigger.handle.uid == job.object["metadata"]["uid"]


def test_command_failed_for_good_the_task_is_not_tried_again(api: ClusterApi) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    planned()
    deferred = begin("try-1", "seal")
    said = Outcome("images", "seal", RUN_ID, "failed", 3, error="num_rows is 3, at least 10.")

    def play() -> None:
        (job,) = live(api)
        job.fail(job.add_pod(), 3, message=said.to_line(), log="checking\n")
        job.give_up("PodFailurePolicy")

    event = watch(deferred, play)
    with pytest.raises(
        AirflowFailException, match=r"images seal \(exit 3\): num_rows is 3, at least 10\..*checking"
    ):
        resume(event, "seal")


def test_command_failed_by_a_bug_the_task_is_tried_again(api: ClusterApi) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    planned()
    deferred = begin("try-1")

    def play() -> None:
        (job,) = live(api)
        job.fail(job.add_pod(), 1, log="Traceback\n")
        job.give_up()

    event = watch(deferred, play)
    with pytest.raises(AirflowException, match="Its last lines: Traceback") as caught:
        resume(event)
    assert not isinstance(caught.value, AirflowFailException)
    assert begin("try-2").trigger.handle.name.endswith("-2")


def test_secret_missing_the_task_fails_once_and_nothing_is_left(api: ClusterApi) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    planned()
    deferred = begin("try-1")

    def play() -> None:
        (job,) = live(api)
        job.wait_because(job.add_pod(), "CreateContainerConfigError", 'secret "s3" not found')

    event = watch(deferred, play)
    with pytest.raises(AirflowFailException, match="there is no Secret 's3'"):
        resume(event)
    assert api.of("batch/jobs") == api.of("core/pods") == []


def test_verb_forbidden_while_watching_the_task_fails_once_and_nothing_is_left(api: ClusterApi) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    planned()
    deferred = begin("try-1")
    api.forbidden.add(("list", "core/pods"))
    event = watch(deferred)
    with pytest.raises(AirflowFailException, match="forbids us to list core/pods in namespace 'spavl'"):
        resume(event)
    assert api.of("batch/jobs") == []


def test_queue_missing_the_task_fails_before_anything_is_made(api: ClusterApi) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    planned(cpu={"queue": "nigth"})
    with pytest.raises(AirflowFailException, match="no LocalQueue 'nigth'"):
        operator().execute({"ti": SimpleNamespace(id="try-1")})
    assert api.of("batch/jobs") == []


def test_what_the_database_keeps_of_a_deferred_task_is_ids_and_intervals(api: ClusterApi) -> None:
    planned()
    _, kept = begin("try-1").trigger.serialize()
    assert set(kept) == {"handle", "pace", "connection"}
    assert set(kept["handle"]) == {
        "kind", "namespace", "base_name", "owner", "client", "num_shards", "queue", "name", "uid", "is_adopted",
    }  # fmt: skip
    assert set(kept["pace"]) == {"poll_s", "pending_timeout_s", "num_server_restarts", "renew_every_s"}
