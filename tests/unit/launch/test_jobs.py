"""Jobs and Indexed Jobs: accepted by Kubernetes, restricted, bounded, and retried as far as it helps."""

from __future__ import annotations

import copy
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cluster_plan import RUN_ID, UNITS, cluster_plan
from tests.restricted import broken_promises, containers

from spavl.config.quantities import amount
from spavl.errors import UserError
from spavl.launch.wanted import wanted

OLDEST, NEWEST = "1.29.0", kubernetes_validate.latest_version()
NOW = "2026-01-01T00:00:00+00:00"
quantities = st.builds(
    lambda n, unit: f"{n}{unit}", st.integers(1, 512), st.sampled_from(["Mi", "Gi", "G", ""])
)
pod_configs = st.fixed_dictionaries(
    {},
    optional={
        "cpu": st.sampled_from(["1", "500m", "2.5"]),
        "memory": quantities,
        "scratch": quantities,
        "num_gpus": st.integers(0, 16),
        "gpu_resource": st.sampled_from(["nvidia.com/gpu", "amd.com/gpu"]),
        "node_selector": st.dictionaries(st.sampled_from(["zone", "gpu.example/kind"]), st.sampled_from(["a", "b"])),
        "tolerations": st.lists(
            st.sampled_from([
                {"key": "gpu"},
                {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
                {"effect": "NoExecute"},
            ]),
            max_size=2,
        ),
        "priority_class": st.sampled_from(["batch", "night.low"]),
        "annotations": st.dictionaries(st.just("karpenter.sh/do-not-disrupt"), st.sampled_from(["true", "false"])),
        "shared_memory": quantities,
        "grace_s": st.integers(1, 600),
        "queue": st.just("nightly"),
    },
)  # fmt: skip


def job(
    stage: str, step: str, group: str | None = None, num_shards: int = 1, **launch: Any
) -> dict[str, Any]:
    return wanted(cluster_plan(launch), stage, step, group, num_shards).named(1, "try-1", NOW)


def pod(made: dict[str, Any]) -> dict[str, Any]:
    return made["spec"]["template"]["spec"]


def client(made: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod(made)["containers"]
    return found


def env(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in container["env"]}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: "-".join(map(str, unit)))
def test_kubernetes_accepts_every_job(unit: tuple, version: str) -> None:
    kubernetes_validate.validate(job(*unit), version, strict=True)


def test_kubernetes_refuses_a_misspelt_key() -> None:
    made = copy.deepcopy(job("images", "seal"))
    made["spec"]["backofLimit"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="backofLimit"):
        kubernetes_validate.validate(made, OLDEST, strict=True)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: "-".join(map(str, unit)))
def test_every_pod_is_restricted(unit: tuple) -> None:
    assert broken_promises(pod(job(*unit))) == []


@settings(deadline=None, max_examples=40)
@given(pod_configs, st.sampled_from(UNITS), st.none() | st.just("weights-cache"))
def test_whatever_the_profile_asks_is_accepted_and_restricted(
    config: dict, unit: tuple, claim: str | None
) -> None:
    made = job(*unit, cpu=config, inference=config, training=config, model_cache_claim=claim)
    kubernetes_validate.validate(made, OLDEST, strict=True)
    assert broken_promises(pod(made)) == []
    for container in containers(pod(made)):
        assert amount(container["resources"]["limits"]["cpu"]) >= amount(container["resources"]["requests"]["cpu"])  # fmt: skip
    mounted = {mount["name"] for one in containers(pod(made)) for mount in one["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod(made)["volumes"]}


def test_a_profiles_pod_settings_reach_the_pod() -> None:
    made = job(
        "images", "work", "drawings", 1,
        cpu={
            "cpu": "500m", "memory": "3Gi", "scratch": "7Gi", "num_gpus": 1, "node_selector": {"pool": "cheap"},
            "tolerations": [{"key": "spot"}], "priority_class": "low", "shared_memory": "1Gi", "grace_s": 33,
        },
        images={"data": "registry.test/data:1", "pull_policy": "Always", "pull_secrets": ["registry"]},
        secrets=["s3", "keys"],
        service_account="jobs",
    )  # fmt: skip
    spec = pod(made)
    assert spec["nodeSelector"] == {"pool": "cheap"} and spec["priorityClassName"] == "low"
    assert spec["tolerations"] == [{"key": "spot", "operator": "Exists"}]
    assert spec["terminationGracePeriodSeconds"] == 33 and spec["restartPolicy"] == "Never"
    assert spec["imagePullSecrets"] == [{"name": "registry"}] and spec["serviceAccountName"] == "jobs"
    assert {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}} in spec["volumes"]
    container = client(made)
    assert container["image"] == "registry.test/data:1" and container["imagePullPolicy"] == "Always"
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}, {"secretRef": {"name": "keys"}}]
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in container["volumeMounts"]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "3Gi", "ephemeral-storage": "7Gi"},
        "limits": {"cpu": "1000m", "memory": "3Gi", "ephemeral-storage": "7Gi", "nvidia.com/gpu": "1"},
    }


def test_several_shards_are_one_indexed_job_whose_pods_know_their_number() -> None:
    made = job("images", "work", "drawings", 5, max_parallel_shards=3, num_retries=4)
    spec = made["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 5, 3)
    assert (spec["backoffLimitPerIndex"], spec["maxFailedIndexes"]) == (4, 0) and "backoffLimit" not in spec
    assert client(made)["command"][-1] == "$(SPAVL_SHARD)/5"
    assert client(made)["env"][0] == {
        "name": "SPAVL_SHARD",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}},
    }  # fmt: skip


def test_one_shard_is_a_job_with_one_completion() -> None:
    made = job("images", "work", "drawings", 1, num_retries=4)
    assert (made["spec"]["completions"], made["spec"]["backoffLimit"]) == (1, 4)
    assert "completionMode" not in made["spec"] and client(made)["command"][-1] == "0/1"


def test_a_lost_node_costs_no_try_and_a_mistake_ends_the_job() -> None:
    first, *final = job("images", "work", "drawings", 5)["spec"]["podFailurePolicy"]["rules"]
    assert first == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert final == [
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": "spavl", "operator": "In", "values": [2, 3]},
        }
    ]


def test_a_servers_exit_code_never_fails_a_job() -> None:
    rules = job("judgements", "work", "judge", 4)["spec"]["podFailurePolicy"]["rules"]
    assert [rule["onExitCodes"]["containerName"] for rule in rules[1:]] == ["spavl", "weights"]


def test_every_job_ends_and_is_cleaned_up() -> None:
    spec = job("images", "seal", timeout_s=3600.5)["spec"]
    assert spec["activeDeadlineSeconds"] == 3601 and spec["ttlSecondsAfterFinished"] == 86400
    assert spec["podReplacementPolicy"] == "Failed"


def test_a_queue_is_on_the_job_alone_and_the_job_waits_for_it() -> None:
    made = job("images", "seal", cpu={"queue": "nightly"})
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "nightly"
    assert "kueue.x-k8s.io/queue-name" not in made["spec"]["template"]["metadata"]["labels"]
    assert "suspend" not in job("images", "seal")["spec"]


def test_object_and_pods_can_be_found_by_what_they_do() -> None:
    made = job("responses", "work", "served", 3)
    labels = {
        "app.kubernetes.io/name": "spavl",
        "app.kubernetes.io/managed-by": "spavl",
        "app.kubernetes.io/instance": "tests",
        "spavl.dev/object": made["metadata"]["name"].removesuffix("-1"),
        "spavl.dev/run": RUN_ID,
        "spavl.dev/stage": "responses",
        "spavl.dev/step": "work",
    }
    assert made["metadata"]["labels"] == labels == made["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["template"]["metadata"]["annotations"] == {"spavl.dev/group": "served"}


def test_a_pod_writes_only_to_what_is_mounted() -> None:
    container = client(job("images", "seal"))
    values = env(container)
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert mounts == ["/home/spavl", "/tmp"]
    for name in ("HOME", "SPAVL_HOME", "HF_HOME"):
        assert values[name].startswith("/home/spavl")
    assert values["USER"] == "spavl" and values["SPAVL_TERMINATION_LOG"] == "/dev/termination-log"
    assert container["terminationMessagePath"] == "/dev/termination-log"


def test_the_profiles_environment_wins_and_is_never_expanded() -> None:
    made = job(
        "images", "seal", env={"SPAVL_STORE": "s3://b/$(HOME)", "HF_HOME": "/tmp/hf", "OMP_NUM_THREADS": "3"}
    )
    values = env(client(made))
    assert values["SPAVL_STORE"] == "s3://b/$$(HOME)" and values["HF_HOME"] == "/tmp/hf"
    assert values["OMP_NUM_THREADS"] == "3"


def test_threads_are_the_profiles() -> None:
    assert env(client(job("images", "seal", num_threads=8)))["OMP_NUM_THREADS"] == "8"


def test_a_training_without_trainer_is_a_job_that_starts_a_rank_for_each_gpu() -> None:
    made = job("training", "work", "dpo", training={"num_gpus": 4})
    command = client(made)["command"]
    assert made["kind"] == "Job" and command[command.index("--nproc-per-node") + 1] == "4"
    assert client(made)["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert "--nproc-per-node" not in client(job("training", "seal", training={"num_gpus": 4}))["command"]


def test_weights_that_the_client_loads_have_disk_and_a_place() -> None:
    made = job("responses", "work", "local", inference={"scratch": "10Gi"}, model_cache_size="40Gi")
    assert client(made)["resources"]["limits"]["ephemeral-storage"] == "50Gi"
    assert env(client(made))["HF_HUB_CACHE"] == "/models/hub"
    assert {"name": "models", "emptyDir": {"sizeLimit": "40Gi"}} in pod(made)["volumes"]
    kept = job("responses", "work", "local", inference={"scratch": "10Gi"}, model_cache_claim="weights-cache")
    assert client(kept)["resources"]["limits"]["ephemeral-storage"] == "10Gi"
    claim = {"name": "models", "persistentVolumeClaim": {"claimName": "weights-cache"}}
    assert claim in pod(kept)["volumes"]


def test_pods_without_a_store_are_refused() -> None:
    with pytest.raises(UserError, match=r"launch.env.SPAVL_STORE is not set"):
        job("images", "seal", env={})


def test_no_secret_is_in_the_manifest() -> None:
    made = str(job("judgements", "work", "judge", 4, secrets=["keys"]))
    assert (
        "secretKeyRef" not in made and made.count("keys") == 2
    )  # our two containers name the Secret; the server does not


def test_pods_carry_the_annotations_of_their_kind() -> None:
    asked = {"karpenter.sh/do-not-disrupt": "true"}
    made = job("judgements", "work", "judge", 4, inference={"annotations": asked})
    assert made["spec"]["template"]["metadata"]["annotations"] == {**asked, "spavl.dev/group": "judge"}
    assert not asked.keys() & made["metadata"]["annotations"].keys()
    assert not asked.keys() & job("judgements", "seal", inference={"annotations": asked})["spec"]["template"]["metadata"]["annotations"].keys()  # fmt: skip
