"""What the values ask of the Airflow chart: our image and profile, the launcher's account, Secrets by name, restricted pods."""

from __future__ import annotations

import yaml
from tests.charts.rendered import CHART, objects

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
