"""A TrainJob is what Kubeflow Trainer publishes, and with its TrainingRuntime no less than a Job of ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob
from kubeflow_trainer_api.models.trainer_v1alpha1_training_runtime import TrainerV1alpha1TrainingRuntime
from tests.cluster_plan import cluster_config, cluster_plan
from tests.restricted import broken_promises

from spavl.launch.trainjob import training_runtime
from spavl.launch.wanted import wanted

NOW = "2026-01-01T00:00:00+00:00"
FULL = {
    "num_gpus": 8, "shared_memory": "64Gi", "node_selector": {"pool": "gpu"}, "tolerations": [{"key": "gpu"}],
    "priority_class": "night", "grace_s": 90, "queue": "nightly", "cpu": "16", "memory": "256Gi", "scratch": "200Gi",
}  # fmt: skip


def launch(training: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "trainjob": {"num_nodes": 2},
        "training": FULL if training is None else training,
        "secrets": ["s3"],
        **more,
    }


def train_job(training: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return wanted(cluster_plan(launch(training, **more)), "training", "work", "dpo").named(1, "try-1", NOW)


def runtime(training: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return training_runtime(cluster_config(launch(training, **more)).launch)


def what_the_schema_knows(model: type, made: dict[str, Any]) -> Any:
    """The object as the published models read it and write it again: keys they do not know are gone."""
    return model.from_dict(copy.deepcopy(made)).to_dict()


def job_of(made: dict[str, Any]) -> dict[str, Any]:
    (replicated,) = made["spec"]["template"]["spec"]["replicatedJobs"]
    return replicated


def patch_of(made: dict[str, Any]) -> dict[str, Any]:
    (patch,) = made["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    return replicated["template"]["spec"]["template"]


@pytest.mark.parametrize("training", [FULL, {}, {"num_gpus": 1}], ids=["full", "none", "one gpu"])
def test_every_key_of_a_trainjob_is_in_the_published_schema(training: dict[str, Any]) -> None:
    made = train_job(training)
    assert what_the_schema_knows(TrainerV1alpha1TrainJob, made) == made


@pytest.mark.parametrize("training", [FULL, {}], ids=["full", "none"])
def test_every_key_of_the_runtime_is_in_the_published_schema(training: dict[str, Any]) -> None:
    made = runtime(training)
    assert what_the_schema_knows(TrainerV1alpha1TrainingRuntime, made) == made


@pytest.mark.parametrize(
    "path", [("spec",), ("spec", "trainer"), ("spec", "runtimePatches", 0), ("spec", "runtimePatches", 0, "trainingRuntimeSpec", "template", "spec", "replicatedJobs", 0, "template", "spec", "template", "spec")]
)  # fmt: skip
def test_a_key_that_is_not_published_would_be_seen(path: tuple) -> None:
    made = train_job()
    at: Any = made
    for key in path:
        at = at[key]
    at["podTemplateOverrides"] = []
    assert what_the_schema_knows(TrainerV1alpha1TrainJob, made) != made


def test_only_keys_that_trainer_2_2_has_are_in_the_pods_patch() -> None:
    known = {
        "affinity", "containers", "imagePullSecrets", "initContainers", "nodeSelector", "schedulingGates", "securityContext",
        "serviceAccountName", "tolerations", "volumes",
    }  # fmt: skip
    made = train_job(images={"training": "registry.test/t:1", "pull_secrets": ["registry"]})
    assert set(patch_of(made)["spec"]) <= known
    (node,) = patch_of(made)["spec"]["containers"]
    assert set(node) <= {"name", "securityContext", "volumeMounts"}  # env of `node` is refused there


def test_nodes_processes_and_resources_are_the_profiles() -> None:
    trainer = train_job()["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 8)
    assert trainer["resourcesPerNode"]["limits"] == {
        "cpu": "32", "memory": "256Gi", "ephemeral-storage": "300Gi", "nvidia.com/gpu": "8",
    }  # fmt: skip
    assert trainer["image"] == "registry.test/training:1" and "--standalone" not in trainer["command"]
    assert train_job({})["spec"]["trainer"]["numProcPerNode"] == 1


def test_it_refers_to_our_runtime_and_ends_in_time() -> None:
    spec = train_job(timeout_s=7200)["spec"]
    assert spec["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "TrainingRuntime",
        "name": "spavl-training",
    }
    assert spec["activeDeadlineSeconds"] == 7200 and "managedBy" not in spec
    assert runtime()["metadata"]["name"] == "spavl-training"


def test_a_queue_admits_it_first() -> None:
    made = train_job()
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "nightly"
    assert "kueue.x-k8s.io/queue-name" not in patch_of(made)["metadata"]["labels"]


def test_its_pods_have_the_labels_of_the_object_and_the_profiles_annotations() -> None:
    made = train_job({"annotations": {"karpenter.sh/do-not-disrupt": "true"}})
    assert patch_of(made)["metadata"]["labels"] == made["metadata"]["labels"]
    assert patch_of(made)["metadata"]["annotations"] == {
        "spavl.dev/group": "dpo",
        "karpenter.sh/do-not-disrupt": "true",
    }


def test_runtime_and_trainjob_together_are_as_restricted_as_a_job() -> None:
    made, base = train_job(), runtime()
    pod = copy.deepcopy(job_of(base)["template"]["spec"]["template"]["spec"])
    (node,) = pod["containers"]
    node |= {"resources": made["spec"]["trainer"]["resourcesPerNode"], "volumeMounts": patch_of(made)["spec"]["containers"][0]["volumeMounts"]}  # fmt: skip
    pod["volumes"] = patch_of(made)["spec"]["volumes"]
    assert broken_promises(pod) == []
    assert {mount["name"] for mount in node["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_runtime_alone_lets_no_pod_be_root() -> None:
    pod = job_of(runtime())["template"]["spec"]["template"]["spec"]
    lacking = {"node: has no requests", "node: has no limits"}
    assert {said.partition(" for ")[0] for said in broken_promises(pod)} == lacking


def test_no_pod_comes_back_alone_and_an_eviction_restarts_all_of_them() -> None:
    job_set = runtime()["spec"]["template"]["spec"]
    job = job_of(runtime())["template"]["spec"]
    assert job["backoffLimit"] == 0 and job["template"]["spec"]["restartPolicy"] == "Never"
    assert job["podFailurePolicy"]["rules"] == [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    assert job_set["failurePolicy"] == {
        "maxRestarts": 0,
        "rules": [
            {"name": "disruption", "action": "RestartJobSetAndIgnoreMaxRestarts", "onJobFailureReasons": ["PodFailurePolicy"]},
            {"name": "otherFailure", "action": "FailJobSet"},
        ],
    }  # fmt: skip


def test_what_a_trainjob_cannot_say_is_in_the_runtime() -> None:
    pod = job_of(runtime())["template"]["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "night" and pod["terminationGracePeriodSeconds"] == 90
    (node,) = pod["containers"]
    assert node["name"] == "node" and node["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert node["imagePullPolicy"] == "IfNotPresent"


def test_trainer_finds_its_job_by_label_and_container_name() -> None:
    replicated = job_of(runtime())
    assert (replicated["name"], replicated["replicas"]) == ("node", 1)
    assert replicated["template"]["metadata"]["labels"] == {
        "trainer.kubeflow.org/trainjob-ancestor-step": "trainer"
    }
    assert runtime()["spec"]["mlPolicy"] == {"numNodes": 1, "torch": {}}
