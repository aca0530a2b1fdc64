"""The life of an object on a cluster, against an API server over real HTTP: never two of one work, never another's removed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.cluster_api import NAMESPACE, ClusterApi
from tests.cluster_workload import Workload, live

from spavl.errors import TryAgain, UserError
from spavl.launch import life, status
from spavl.launch.cluster import VERBS, Cluster, Patience
from spavl.launch.handle import Handle
from spavl.launch.look import look
from spavl.launch.refusals import MissingKind
from spavl.launch.status import Limits
from spavl.launch.wanted import Wanted, from_manifest

LIMITS = Limits(pending_timeout_s=60, num_server_restarts=2)
QUICK = Patience(call_timeout_s=5, retry_delays_s=(0.01, 0.01, 0.01))
BASE = "spavl-0123456789abcdef0123"


def work(kind: str = "Job", image: str = "spavl-data:1", queue: str | None = None, num_shards: int = 1) -> Wanted:  # fmt: skip
    labels = {"spavl.dev/object": BASE, "app.kubernetes.io/managed-by": "spavl"}
    manifest = {
        "apiVersion": {"Job": "batch/v1", "TrainJob": "trainer.kubeflow.org/v1alpha1"}[kind],
        "kind": kind,
        "metadata": {"namespace": NAMESPACE, "labels": labels},
        "spec": {"image": image, **({"suspend": True} if queue else {})},
    }
    return from_manifest(
        manifest,
        base_name=BASE,
        num_shards=num_shards,
        container="spavl" if kind == "Job" else "node",
        queue=queue,
    )


def on(call: Callable[[Cluster], Awaitable]):
    """The result of a call with an open cluster."""

    async def run():
        async with Cluster(NAMESPACE, patience=QUICK) as cluster:
            return await call(cluster)

    return asyncio.run(run())


def begin(owner: str, wanted: Wanted | None = None) -> Handle:
    return on(lambda cluster: life.begin(cluster, wanted or work(), owner))


def seen(handle: Handle):
    return on(lambda cluster: look(cluster, handle, LIMITS))


def test_the_first_try_makes_generation_one_and_writes_its_id_into_it(api: ClusterApi) -> None:
    handle = begin("try-1")
    (made,) = live(api)
    assert (handle.name, made.owner(), handle.is_adopted) == (f"{BASE}-1", "try-1", False)


def test_a_worker_that_was_killed_is_followed_by_one_that_adopts(api: ClusterApi) -> None:
    first = begin("try-1")
    second = begin("try-2")
    (made,) = live(api)
    assert (second.uid, second.is_adopted, made.owner()) == (first.uid, True, "try-2")


def test_a_creation_that_lost_the_race_adopts_what_the_other_made(api: ClusterApi) -> None:
    """The object is not in the listing yet, and creating it is answered 409."""

    async def race(cluster: Cluster) -> Handle:
        known = cluster.list
        listings = 0

        async def list_then_lose(kind: str, **selectors: str):
            nonlocal listings
            found = await known(kind, **selectors)
            if kind == "Job":
                listings += 1
                if listings == 1:
                    await cluster.create("Job", work().named(1, "other", "2026-01-01T00:00:00+00:00"))
            return found

        cluster.list = list_then_lose  # type: ignore[method-assign]
        return await life.begin(cluster, work(), "try-1")

    handle = on(race)
    assert len(live(api)) == 1 and handle.is_adopted and live(api)[0].owner() == "try-1"


def test_an_object_that_finishes_while_it_is_being_adopted_is_not_adopted(api: ClusterApi) -> None:
    begin("try-1")
    (job,) = live(api)

    async def race(cluster: Cluster) -> Handle:
        known = cluster.list

        async def list_then_finish(kind: str, **selectors: str):
            found = await known(kind, **selectors)
            if kind == "Pod" and job.name in {one.name for one in live(api)}:
                job.complete()
            return found

        cluster.list = list_then_finish  # type: ignore[method-assign]
        return await life.begin(cluster, work(), "try-2")

    assert on(race).name == f"{BASE}-2" and job.owner() == "try-1"


def test_a_label_selector_that_the_server_ignores_adopts_no_stranger(api: ClusterApi) -> None:
    stranger = work().named(1, "x", "2026-01-01T00:00:00+00:00")
    stranger["metadata"] |= {"name": "stranger", "labels": {"spavl.dev/object": "spavl-other"}}
    api.put("batch/jobs", stranger)
    assert begin("try-1").name == f"{BASE}-1"


def test_a_finished_object_is_left_and_a_new_generation_begins(api: ClusterApi) -> None:
    begin("try-1")
    live(api)[0].give_up()
    assert begin("try-2").name == f"{BASE}-2"
    assert len(api.of("batch/jobs")) == 2


def test_a_terminating_object_is_waited_out_and_never_adopted(api: ClusterApi) -> None:
    first = begin("try-1")
    api.lingers = True
    on(lambda cluster: life.remove(cluster, first))
    waiting = begin("try-2")
    assert waiting.name == ""
    assert "is being removed" in on(lambda cluster: life.is_clear(cluster, waiting))
    api.let_go()
    assert on(lambda cluster: life.is_clear(cluster, waiting)) == ""
    assert begin("try-2").is_adopted is False


def test_a_pod_that_is_still_ending_is_waited_out_though_its_job_is_gone(api: ClusterApi) -> None:
    first = begin("try-1")
    job = live(api)[0]
    job.run(job.add_pod())
    api.lingers = True
    on(lambda cluster: life.remove(cluster, first))
    del api.objects["batch/jobs", first.name]
    assert begin("try-2").name == ""
    api.let_go()
    assert begin("try-2").name == f"{BASE}-1"


def test_a_pod_that_is_ending_on_a_lost_node_keeps_nobody_waiting(api: ClusterApi) -> None:
    begin("try-1")
    job = live(api)[0]
    pod = job.add_pod()
    job.run(pod)
    api.objects["core/pods", pod]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    del api.objects["batch/jobs", job.name]
    assert begin("try-2").name == f"{BASE}-1"


def test_a_live_object_of_another_spec_is_removed_and_replaced(api: ClusterApi) -> None:
    first = begin("try-1", work(image="spavl-data:1"))
    assert begin("try-2", work(image="spavl-data:2")).name == ""
    second = begin("try-2", work(image="spavl-data:2"))
    (made,) = live(api)
    assert made.object["spec"]["image"] == "spavl-data:2" and second.uid != first.uid


def test_a_task_that_was_cleared_is_not_killed_by_its_former_trigger(api: ClusterApi) -> None:
    """The new try has adopted the object before the old trigger's `on_kill` runs."""
    former = begin("try-1")
    begin("try-2")
    said = on(lambda cluster: life.remove(cluster, former))
    assert "left alone" in said and live(api)[0].owner() == "try-2"


def test_a_removal_that_is_overtaken_by_an_adoption_removes_nothing(api: ClusterApi) -> None:
    """The owner changes between the reading and the delete: the precondition fails, and the second reading says whose it is."""
    former = begin("try-1")

    async def race(cluster: Cluster) -> str:
        read = cluster.get

        async def read_then_lose(kind: str, name: str):
            found = await read(kind, name)
            if found["metadata"]["annotations"]["spavl.dev/owner"] == "try-1":
                await life.begin(cluster, work(), "try-2")
            return found

        cluster.get = read_then_lose  # type: ignore[method-assign]
        return await life.remove(cluster, former)

    assert "left alone" in on(race) and len(live(api)) == 1


def test_a_stop_removes_what_the_try_still_owns(api: ClusterApi) -> None:
    handle = begin("try-1")
    api.changed("batch/jobs", handle.name)
    assert "is removed" in on(lambda cluster: life.remove(cluster, handle))
    assert api.of("batch/jobs") == []
    assert "gone already" in on(lambda cluster: life.remove(cluster, handle))


def test_a_stop_in_the_middle_of_beginning_finds_what_was_made_by_its_owner(api: ClusterApi) -> None:
    begin("try-1")
    said = on(lambda cluster: life.remove(cluster, life.unnamed(work(), "try-2")))
    assert said.endswith("was not made")
    assert len(live(api)) == 1
    on(lambda cluster: life.remove(cluster, life.unnamed(work(), "try-1")))
    assert live(api) == []


def test_a_stale_watcher_sees_another_owner_and_stops(api: ClusterApi) -> None:
    former = begin("try-1")
    begin("try-2")
    assert seen(former).phase == status.TAKEN
    assert on(lambda cluster: life.renew(cluster, former)) is False


def test_an_object_of_the_same_name_that_is_not_the_same_is_not_watched(api: ClusterApi) -> None:
    former = begin("try-1")
    on(lambda cluster: life.remove(cluster, former))
    begin("try-1")
    assert seen(former).phase == status.GONE


def test_renewing_writes_that_somebody_watches(api: ClusterApi) -> None:
    handle = begin("try-1")
    live(api)[0].object["metadata"]["annotations"]["spavl.dev/seen-at"] = "2026-01-01T00:00:00+00:00"
    assert on(lambda cluster: life.renew(cluster, handle)) is True
    assert live(api)[0].object["metadata"]["annotations"]["spavl.dev/seen-at"] > "2026-01-02"


def test_a_queue_that_does_not_exist_is_named_and_nothing_is_made(api: ClusterApi) -> None:
    with pytest.raises(UserError, match=r"no LocalQueue 'gpus' in namespace 'spavl'"):
        begin("try-1", work(queue="gpus"))
    assert api.of("batch/jobs") == []


def test_a_queue_that_exists_admits_and_one_that_may_not_be_read_is_trusted(api: ClusterApi) -> None:
    api.put("kueue.x-k8s.io/localqueues", {"metadata": {"name": "gpus"}})
    assert begin("try-1", work(queue="gpus")).name
    live(api)[0].complete()
    api.forbidden.add(("get", "kueue.x-k8s.io/localqueues"))
    assert begin("try-2", work(queue="other")).name


def test_without_kueue_a_profile_with_a_queue_is_told_to_install_it(api: ClusterApi) -> None:
    api.served.discard("kueue.x-k8s.io/v1beta1/localqueues")
    with pytest.raises(MissingKind, match="kueue") as caught:
        begin("try-1", work(queue="gpus"))
    assert "Install Kueue" in caught.value.next_step


def test_without_kubeflow_a_profile_with_a_trainjob_is_told_to_install_it(api: ClusterApi) -> None:
    api.served.discard("trainer.kubeflow.org/v1alpha1/trainjobs")
    with pytest.raises(MissingKind) as caught:
        begin("try-1", work("TrainJob"))
    assert "Kubeflow Trainer" in caught.value.next_step


def test_a_missing_training_runtime_is_named_with_its_remedy(api: ClusterApi) -> None:
    words = 'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: spec.runtimeRef: Invalid value: '
    api.refused_creation = (403, words + 'TrainingRuntime.trainer.kubeflow.org "spavl-training" not found')
    with pytest.raises(UserError, match="spavl-training") as caught:
        begin("try-1", work("TrainJob"))
    assert "launch.trainjob.runtime" in caught.value.next_step


def test_a_forbidden_verb_is_named_with_its_remedy(api: ClusterApi) -> None:
    api.forbidden.add(("create", "batch/jobs"))
    with pytest.raises(UserError, match=r"forbids us to create batch/jobs in namespace 'spavl'") as caught:
        begin("try-1")
    assert "Role" in caught.value.next_step


def test_a_quota_of_objects_that_is_used_up_is_tried_again(api: ClusterApi) -> None:
    api.refused_creation = (
        403,
        'jobs.batch "x" is forbidden: exceeded quota: count, requested: count/jobs.batch=1',
    )
    with pytest.raises(TryAgain, match="exceeded quota"):
        begin("try-1")


def test_what_is_watched_says_queued_pending_running_and_succeeded(api: ClusterApi) -> None:
    api.put("kueue.x-k8s.io/localqueues", {"metadata": {"name": "gpus"}})
    handle = begin("try-1", work(queue="gpus"))
    phases = [seen(handle).phase]
    (job,) = live(api)
    job.admit()
    pod = job.add_pod()
    phases.append(seen(handle).phase)
    job.run(pod, "images: 1/4 (25%)\nimages: 2/4 (50%, 3/s, 1 s left)\nnot progress\n")
    running = seen(handle)
    phases.append(running.phase)
    job.complete()
    phases.append(seen(handle).phase)
    assert phases == ["queued", "pending", "running", "succeeded"]
    assert running.progress == "images: 2/4 (50%, 3/s, 1 s left)"


def test_a_trainjob_lives_as_a_job_does(api: ClusterApi) -> None:
    first = begin("try-1", work("TrainJob"))
    (made,) = live(api)
    made.run(made.add_pod(), "training: 5/10 (50%)\n")
    assert (made.kind, seen(first).progress) == ("TrainJob", "training: 5/10 (50%)")
    assert begin("try-2", work("TrainJob")).uid == first.uid


def test_the_whole_life_uses_no_verb_that_the_table_lacks(api: ClusterApi) -> None:
    """VERBS is what the chart's Role grants: nothing more is asked for, and nothing of it is unused."""
    api.put("kueue.x-k8s.io/localqueues", {"metadata": {"name": "gpus"}})
    for kind in ("Job", "TrainJob"):
        handle = begin("try-1", work(kind, queue="gpus"))
        job = Workload(
            api, api.of({"Job": "batch/jobs", "TrainJob": "trainer.kubeflow.org/trainjobs"}[kind])[-1]
        )
        seen(handle)
        job.admit()
        job.run(job.add_pod())
        seen(handle)
        on(lambda cluster, handle=handle: life.renew(cluster, handle))
        on(lambda cluster, handle=handle: life.remove(cluster, handle))
    used: dict[str, set[str]] = {}
    for verb, rights, _ in api.calls:
        used.setdefault(rights, set()).add(verb)
    assert used == {rights: set(verbs) for rights, verbs in VERBS.items()}
