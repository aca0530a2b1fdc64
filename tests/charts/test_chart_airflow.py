"""What the values ask of the Airflow chart: our image and profile, the launcher's account, Secrets by name, restricted pods."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.charts.rendered import CHART, all_texts, changed, combination, objects, one, pod_specs, rendered

AIRFLOW = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["airflow"]
PARTS = ("scheduler", "triggerer", "dagProcessor", "apiServer")


def test_it_is_an_optional_dependency_of_one_minor_version() -> None:
    metadata = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert metadata["dependencies"] == [
        {
            "name": "airflow",
            "version": "~1.22.0",
            "repository": "https://airflow.apache.org",
            "condition": "airflow.enabled",
        }
    ]
    assert AIRFLOW["enabled"] is False


def test_its_version_is_the_one_that_is_installed_here() -> None:
    import importlib.metadata

    assert AIRFLOW["airflowVersion"] == importlib.metadata.version("apache-airflow")


def test_no_key_is_generated_anew_at_an_upgrade() -> None:
    names = [AIRFLOW[key] for key in ("fernetKeySecretName", "jwtSecretName", "apiSecretKeySecretName")]
    assert [*names, AIRFLOW["data"]["metadataSecretName"]] == ["spavl-airflow"] * 4


def test_the_profile_and_the_store_reach_every_part() -> None:
    rendered = {(it["kind"], it["metadata"]["name"]): it for it in objects("bundled-airflow")}
    environment = yaml.safe_load(AIRFLOW["extraEnvFrom"])[0]["configMapRef"]["name"]
    variables = rendered["ConfigMap", environment]["data"]
    volumes = {volume["name"]: volume for volume in AIRFLOW["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in AIRFLOW["volumeMounts"]}
    profile = volumes[mounts["/etc/spavl"]["name"]]["configMap"]["name"]
    assert variables == {
        "SPAVL_PROFILE": "/etc/spavl/profile.yaml",
        "SPAVL_STORE": "s3://spavl-ci/store",
        "AWS_ENDPOINT_URL": "https://s3.example.com",
    }
    assert "profile.yaml" in rendered["ConfigMap", profile]["data"]
    assert "subPath" not in mounts["/etc/spavl"], "a file mounted by subPath never changes"


def test_what_airflow_writes_to_is_on_volumes() -> None:
    assert AIRFLOW["securityContexts"]["containers"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in AIRFLOW["volumeMounts"] if not mount.get("readOnly")} == {
        "/opt/airflow",
        "/home/spavl",
        "/tmp",
    }


def test_airflow_keeps_to_restricted_pod_security() -> None:
    pod, container = (AIRFLOW["securityContexts"][key] for key in ("pod", "containers"))
    assert pod["runAsNonRoot"] is True and pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}


def test_only_what_launches_and_watches_jobs_has_the_launchers_account() -> None:
    accounts = {part: AIRFLOW[part]["serviceAccount"] for part in (*PARTS, "migrateDatabaseJob")}
    launching = {part for part, account in accounts.items() if account.get("name") == "spavl-launcher"}
    assert launching == {"scheduler", "triggerer"}
    for part in set(accounts) - launching:
        assert accounts[part] == {"automountServiceAccountToken": False}
    assert AIRFLOW["rbac"]["create"] is False and AIRFLOW["allowPodLaunching"] is False


def test_every_part_has_requests_and_limits() -> None:
    for part in (*PARTS, "migrateDatabaseJob"):
        assert {"requests", "limits"} <= set(AIRFLOW[part]["resources"])
    for part in PARTS[:3]:
        assert {"requests", "limits"} <= set(AIRFLOW[part]["logGroomerSidecar"]["resources"])


def test_deferred_tasks_have_a_triggerer_and_the_image_has_the_dags() -> None:
    assert AIRFLOW["triggerer"]["enabled"] is True
    assert AIRFLOW["dags"] == {"mountPath": "/opt/spavl/dags"}
    assert AIRFLOW["executor"] == "LocalExecutor"


@pytest.fixture(scope="module", params=["bundled-airflow", "trial-database"])
def bundled(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The objects of the Airflow chart itself, as our values make them."""
    if not any((CHART / "charts").glob("airflow*")):
        pytest.skip("the Airflow chart is not here: helm dependency update charts/spavl")
    texts = all_texts(combination(request.param))
    documents = [
        text
        for path, text in texts.items()
        if "/charts/airflow/templates/" in path and path.endswith(".yaml")
    ]
    return [it for text in documents for it in yaml.safe_load_all(text) if isinstance(it, dict)]


def test_the_airflow_chart_takes_our_values_and_kubernetes_what_it_makes(
    bundled: list[dict[str, Any]],
) -> None:
    assert {"Deployment", "StatefulSet", "Job", "Service"} <= {it["kind"] for it in bundled}
    for manifest in bundled:
        for version in ("1.29", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_every_container_of_airflow_is_ours_and_kept_small(bundled: list[dict[str, Any]]) -> None:
    containers = [
        container
        for manifest in bundled
        for spec in pod_specs(manifest)
        for container in [*spec.get("initContainers", []), *spec["containers"]]
    ]
    assert len(containers) > 8
    for container in containers:
        assert container["image"] == "registry.example.com/spavl/airflow:0.1.0"
        assert container["securityContext"] == AIRFLOW["securityContexts"]["containers"]
        for part in ("requests", "limits"):
            assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"][part])


def test_every_pod_of_airflow_keeps_to_restricted_pod_security(bundled: list[dict[str, Any]]) -> None:
    for spec in (spec for manifest in bundled for spec in pod_specs(manifest)):
        assert spec["securityContext"] == AIRFLOW["securityContexts"]["pod"]
        assert spec["enableServiceLinks"] is False
        assert spec["metadata"]["labels"]["tier"] == "airflow", "network policies choose by it"


def test_no_object_of_airflow_holds_what_is_made_anew_at_each_rendering(
    bundled: list[dict[str, Any]],
) -> None:
    secrets = {it["metadata"]["name"] for it in bundled if it["kind"] == "Secret"}
    assert secrets <= {"night-metadata"}, "the address of the trial database, which never changes"


def test_airflow_brings_no_rights_of_its_own(bundled: list[dict[str, Any]]) -> None:
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} & {it["kind"] for it in bundled}


def test_the_sweep_runs_in_the_image_of_the_bundled_airflow() -> None:
    (spec,) = [spec for it in objects("bundled-airflow") if it["kind"] == "CronJob" for spec in pod_specs(it)]
    assert spec["containers"][0]["image"] == "registry.example.com/spavl/airflow:0.1.0"


def test_a_digest_of_airflow_is_the_sweeps_too() -> None:
    digest = f"sha256:{'1' * 64}"
    values = changed(combination("bundled-airflow"), "airflow.images.airflow", {"repository": "registry.example.com/a", "digest": digest})  # fmt: skip
    cron = one("CronJob", "spavl-sweep", rendered(values))
    assert pod_specs(cron)[0]["containers"][0]["image"] == f"registry.example.com/a@{digest}"
