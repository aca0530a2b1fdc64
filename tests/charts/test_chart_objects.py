"""Every supported combination gives objects that Kubernetes takes, and that keep what the chart promises."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest
from tests.charts.rendered import (
    CHART,
    COMBINATIONS,
    NAMESPACE,
    RELEASE,
    alone,
    combination,
    objects,
    pod_specs,
    rendered_texts,
)

OLDEST, NEWEST = "1.29", kubernetes_validate.latest_version()
CUSTOM = {"TrainingRuntime", "LocalQueue"}  # no schema of Kubernetes' own; see the tests by name
PODS = [
    pytest.param(name, spec, id=f"{name}-{manifest['metadata']['name']}")
    for name in COMBINATIONS
    for manifest in objects(name)
    for spec in pod_specs(manifest)
]
CONTAINERS = [
    pytest.param(spec, container, id=f"{pod.id}-{container['name']}")
    for pod in PODS
    for spec in [pod.values[1]]
    for container in [*spec["containers"], *spec.get("initContainers", [])]
]


@pytest.mark.parametrize("name", COMBINATIONS)
def test_the_linter_has_nothing_to_say(name: str) -> None:
    from helm_python import lint

    report = lint(alone(CHART), combination(name), strict=True, namespace=NAMESPACE)
    said = [message["error"] for message in report["messages"] if message["severity"] > 1]
    # the Airflow chart is fetched by `helm dependency update`, never kept here
    assert [words for words in said if "missing these dependencies: airflow" not in words] == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", COMBINATIONS)
def test_kubernetes_takes_every_object(name: str, version: str) -> None:
    for manifest in objects(name):
        if manifest["kind"] not in CUSTOM:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_wrong_object_is_not_taken() -> None:
    manifest = next(it for it in objects("existing-airflow") if it["kind"] == "CronJob")
    manifest["spec"]["jobTemplate"]["spec"]["backoffLimits"] = 0
    with pytest.raises(kubernetes_validate.ValidationError, match="backoffLimits"):
        kubernetes_validate.validate(manifest, OLDEST, strict=True)


def test_the_oldest_version_that_is_validated_is_the_oldest_that_the_chart_takes() -> None:
    assert f'kubeVersion: ">={OLDEST}.0-0"' in (CHART / "Chart.yaml").read_text("utf-8")


@pytest.mark.parametrize("name", COMBINATIONS)
def test_every_object_is_in_the_release_namespace_under_a_short_name(name: str) -> None:
    for manifest in objects(name):
        metadata = manifest["metadata"]
        longest = 52 if manifest["kind"] == "CronJob" else 63  # a CronJob's jobs get eleven characters more
        assert metadata["namespace"] == NAMESPACE
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", metadata["name"])
        assert len(metadata["name"]) <= longest


@pytest.mark.parametrize("name", COMBINATIONS)
def test_one_template_makes_one_object(name: str) -> None:
    texts = {path: text for path, text in rendered_texts(combination(name)).items() if text.strip()}
    made = [path for path in texts if not path.endswith("NOTES.txt")]
    assert len(made) == len(objects(name))
    assert all(re.fullmatch(r"spavl/templates/[a-z]+/[a-z]+\.yaml", path) for path in made)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_no_object_holds_a_secret_or_reaches_beyond_the_namespace(name: str) -> None:
    kinds = {manifest["kind"] for manifest in objects(name)}
    assert kinds & {"Secret", "ClusterRole", "ClusterRoleBinding", "Namespace", "PriorityClass"} == set()


@pytest.mark.parametrize(("name", "spec"), PODS)
def test_a_pod_keeps_to_restricted_pod_security(name: str, spec: dict[str, Any]) -> None:
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] >= 10000
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    assert {key for volume in spec.get("volumes", []) for key in volume} <= {"name", "emptyDir", "configMap"}


@pytest.mark.parametrize(("name", "spec"), PODS)
def test_only_the_sweep_has_a_token(name: str, spec: dict[str, Any]) -> None:
    is_sweep = spec["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "sweep"
    assert spec["automountServiceAccountToken"] is is_sweep
    assert is_sweep == (spec.get("serviceAccountName") == "spavl-launcher")


@pytest.mark.parametrize(("spec", "container"), CONTAINERS)
def test_a_container_can_neither_gain_rights_nor_write_to_its_root(
    spec: dict[str, Any], container: dict[str, Any]
) -> None:
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert not security.get("privileged")


@pytest.mark.parametrize(("spec", "container"), CONTAINERS)
def test_an_image_is_pinned(spec: dict[str, Any], container: dict[str, Any]) -> None:
    assert re.search(r"(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$", container["image"])


@pytest.mark.parametrize(("spec", "container"), CONTAINERS)
def test_a_container_has_requests_and_limits(spec: dict[str, Any], container: dict[str, Any]) -> None:
    if container["name"] == "node":  # a training's: the TrainJob says them, by resourcesPerNode
        assert "resources" not in container
        return
    for part in ("requests", "limits"):
        assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"][part])


@pytest.mark.parametrize(("spec", "container"), CONTAINERS)
def test_no_container_starts_a_shell(spec: dict[str, Any], container: dict[str, Any]) -> None:
    words = [*container.get("command", []), *container.get("args", [])]
    assert not {"sh", "bash", "/bin/sh", "/bin/bash", "-c"} & set(words)


@pytest.mark.parametrize(("spec", "container"), CONTAINERS)
def test_what_a_container_writes_to_is_mounted(spec: dict[str, Any], container: dict[str, Any]) -> None:
    if container["name"] == "node":  # a training's: the TrainJob says them, by its runtime patch
        return
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    kinds = {
        volume["name"]: next(key for key in volume if key != "name") for volume in spec.get("volumes", [])
    }
    assert {path: kinds[name] for path, name in mounts.items()} == {
        "/home/spavl": "emptyDir",
        "/tmp": "emptyDir",
        "/etc/spavl": "configMap",
    }
    home = {entry["name"]: entry["value"] for entry in container["env"]}
    assert home["HOME"] == "/home/spavl" and home["SPAVL_HOME"].startswith("/home/spavl/")


def test_weights_outlive_an_uninstall() -> None:
    claim = next(it for it in objects("kueue-trainjob-quota") if it["kind"] == "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_an_existing_claim_is_not_made_again() -> None:
    assert not any(it["kind"] == "PersistentVolumeClaim" for it in objects("own-claim"))


def test_a_local_queue_draws_from_the_named_cluster_queue() -> None:
    queue = next(it for it in objects("kueue-trainjob-quota") if it["kind"] == "LocalQueue")
    assert queue["apiVersion"] == "kueue.x-k8s.io/v1beta2"
    assert (queue["metadata"]["name"], queue["spec"]) == ("spavl", {"clusterQueue": "gpus"})


def test_a_local_queue_that_exists_is_not_made_again() -> None:
    assert not any(it["kind"] == "LocalQueue" for it in objects("own-claim"))


def test_the_test_hook_runs_the_doctor_on_the_installed_profile() -> None:
    pod = next(it for it in objects("existing-airflow") if it["kind"] == "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["containers"][0]["image"] == "registry.example.com/spavl/airflow:0.1.0"
    assert " ".join(pod["spec"]["containers"][0]["command"]) == (
        "python -m spavl doctor --profile /etc/spavl/profile.yaml"
    )


@pytest.mark.parametrize("name", COMBINATIONS)
def test_the_notes_name_the_next_command(name: str) -> None:
    notes = rendered_texts(combination(name))["spavl/templates/NOTES.txt"]
    assert f"helm test {RELEASE} --namespace {NAMESPACE}" in notes
    is_bundled = bool(combination(name).get("airflow"))
    assert ("port-forward" in notes) == is_bundled
    assert ("Give your Airflow" in notes) == (not is_bundled)
