"""A training as a TrainJob of Kubeflow Trainer, on the TrainingRuntime that the chart installs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.charts.rendered import combination, one, rendered
from tests.cluster.conftest import until
from tests.cluster.work import says, to_the_end, work_of

from spavl.launch.local import StepFailed

GROUP, VERSION = "trainer.kubeflow.org", "v1alpha1"
VALUES = "kueue-trainjob-quota"


@pytest.fixture(scope="module")
def trainer(api: Any, namespace: str, image: str) -> Any:
    """A client of the TrainJobs, once our runtime is in the namespace; skips where Trainer is not installed."""
    from kubernetes import client

    groups = {group.name for group in client.ApisApi(api).get_api_versions().groups}
    if GROUP not in groups:
        pytest.skip("Kubeflow Trainer is not installed in this cluster (no API group trainer.kubeflow.org)")
    values = combination(VALUES)
    values |= {"secrets": []}  # that namespace has none of them, nor the PriorityClass
    values["images"] |= {"training": image, "pullPolicy": "IfNotPresent"}
    values["trainjob"] |= {"priorityClass": ""}
    runtime = one("TrainingRuntime", "spavl-training", rendered(values))
    runtime["metadata"]["namespace"] = namespace
    made = client.CustomObjectsApi(api)
    made.create_namespaced_custom_object(GROUP, VERSION, namespace, "trainingruntimes", runtime)
    return made


@pytest.mark.parametrize("num_nodes", [1, 2])
def test_a_trainjob_succeeds_on_all_its_nodes(
    trainer: Any, namespace: str, image: str, installation: str, num_nodes: int
) -> None:
    work = training(namespace, image, installation, says(rows=1), num_nodes)
    to_the_end(work)
    (job,) = trainjobs(trainer, namespace, work.base_name)
    assert [one["type"] for one in job["status"]["conditions"] if one["status"] == "True"] == ["Complete"]


def test_a_failed_trainjob_is_not_restarted(
    trainer: Any, core: Any, namespace: str, image: str, installation: str
) -> None:
    work = training(namespace, image, installation, says(exit_code=2, error="no pairs"), 1)
    with pytest.raises(StepFailed, match="no pairs"):
        to_the_end(work)
    (job,) = trainjobs(trainer, namespace, work.base_name)
    pods = core.list_namespaced_pod(
        namespace, label_selector=f"jobset.sigs.k8s.io/jobset-name={job['metadata']['name']}"
    )
    assert [pod.status.container_statuses[0].restart_count for pod in pods.items] == [0]


def test_a_removed_trainjob_takes_its_pods_with_it(
    trainer: Any, core: Any, namespace: str, image: str, installation: str
) -> None:
    import asyncio

    from spavl.launch import life
    from spavl.launch.cluster import Cluster

    work = training(namespace, image, installation, says(sleep_s=250), 1)

    async def begin_and_remove() -> str:
        async with Cluster(namespace) as cluster:
            handle = await life.begin(cluster, work, "first")
            await life.remove(cluster, handle)
            return handle.name

    name = asyncio.run(begin_and_remove())
    until(lambda: not trainjobs(trainer, namespace, work.base_name), "the TrainJob is gone")
    selector = f"jobset.sigs.k8s.io/jobset-name={name}"
    until(lambda: not core.list_namespaced_pod(namespace, label_selector=selector).items, "its pods are gone")


def training(namespace: str, image: str, installation: str, program: str, num_nodes: int) -> Any:
    return work_of(
        namespace,
        image,
        program,
        installation=installation,
        stage="training",
        group="dpo",
        trainjob={"num_nodes": num_nodes},
    )


def trainjobs(trainer: Any, namespace: str, base_name: str) -> list[dict[str, Any]]:
    selector = f"spavl.dev/object={base_name}"
    found = trainer.list_namespaced_custom_object(
        GROUP, VERSION, namespace, "trainjobs", label_selector=selector
    )
    return found["items"]
