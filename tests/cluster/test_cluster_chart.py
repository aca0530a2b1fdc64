"""The chart on a real cluster: installed, its rights used, upgraded while a job runs, tested, uninstalled."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.charts.rendered import CHART
from tests.cluster.conftest import empty_namespace, jobs_of
from tests.cluster.work import chart_values, says, work_of

from spavl.launch import life
from spavl.launch.cluster import VERBS, Cluster

RELEASE = "night"
LAUNCHER = "spavl-launcher"


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart without Airflow's, which is not at hand; an existing Airflow is the combination installed here."""
    copied = tmp_path_factory.mktemp("chart") / "spavl"
    shutil.copytree(CHART, copied)
    described = yaml.safe_load((copied / "Chart.yaml").read_text("utf-8"))
    described.pop("dependencies", None)
    (copied / "Chart.yaml").write_text(yaml.safe_dump(described), "utf-8")
    (copied / "Chart.lock").unlink(missing_ok=True)
    return copied


@pytest.fixture(scope="module")
def chart_namespace(core: Any) -> Iterator[str]:
    """A namespace without the account spavl-job, which is the chart's to make."""
    with empty_namespace(core) as name:
        yield name


@pytest.fixture(scope="module")
def values(image: str) -> dict[str, Any]:
    store_url = os.environ.get("SPAVL_TEST_STORE", "s3://spavl-test/store")
    return chart_values(image, store_url, list(filter(None, [os.environ.get("SPAVL_TEST_SECRET")])))


@pytest.fixture(scope="module")
def helm(api: Any, chart_namespace: str) -> Iterator[Any]:
    from helm_python import Config

    config = Config(namespace=chart_namespace)
    yield config
    config.close()


@pytest.fixture(scope="module")
def installed(helm: Any, chart: Path, chart_namespace: str, values: dict[str, Any]) -> str:
    """The namespace of an installed release."""
    helm.install(chart, RELEASE, values, namespace=chart_namespace, timeout=300)
    return chart_namespace


def may(api: Any, namespace: str, verb: str, right: str) -> bool:
    """Whether the launcher's account may do that here; `right` is as in VERBS: group/resource or group/resource/subresource."""
    from kubernetes import client

    group, resource, *subresource = right.split("/")
    asked = {
        "namespace": namespace,
        "verb": verb,
        "group": "" if group == "core" else group,
        "resource": resource,
        "subresource": "".join(subresource),
    }
    review = {"spec": {"user": f"system:serviceaccount:{namespace}:{LAUNCHER}", "resourceAttributes": asked}}
    return client.AuthorizationV1Api(api).create_subject_access_review(review).status.allowed


@pytest.mark.parametrize(
    ("right", "verb"), [(right, verb) for right in sorted(VERBS) for verb in sorted(VERBS[right])]
)
def test_the_launcher_may_do_what_spavl_does(api: Any, installed: str, right: str, verb: str) -> None:
    if right.startswith(("trainer.", "kueue.")):
        pytest.skip("granted where trainjob.enabled or kueue.enabled is set, and neither is here")
    assert may(api, installed, verb, right)


@pytest.mark.parametrize(
    ("right", "verb"),
    [
        ("core/secrets", "get"),
        ("core/secrets", "list"),
        ("core/pods", "create"),
        ("core/pods", "delete"),
        ("core/pods/exec", "create"),
        ("core/configmaps", "patch"),
        ("rbac.authorization.k8s.io/roles", "create"),
        ("batch/cronjobs", "create"),
    ],
)
def test_the_launcher_may_do_nothing_else(api: Any, installed: str, right: str, verb: str) -> None:
    assert not may(api, installed, verb, right)


def test_the_launcher_may_do_nothing_in_another_namespace(api: Any, installed: str, namespace: str) -> None:
    assert not may(api, namespace, "create", "batch/jobs")


def test_an_upgrade_leaves_a_running_job_alone(
    api: Any, helm: Any, chart: Path, installed: str, values: dict[str, Any], image: str, installation: str
) -> None:
    work = work_of(installed, image, says(sleep_s=200), installation=installation)

    async def begin_and(then: Any) -> None:
        async with Cluster(installed) as cluster:
            handle = await life.begin(cluster, work, "before")
            then()
            await life.remove(cluster, handle)

    def upgrade() -> None:
        (before,) = jobs_of(api, installed, work.base_name)
        changed = {**values, "sweep": {"schedule": "*/20 * * * *"}}
        helm.upgrade(chart, RELEASE, changed, namespace=installed, timeout=300)
        (after,) = jobs_of(api, installed, work.base_name)
        assert (after.metadata.uid, after.metadata.deletion_timestamp) == (before.metadata.uid, None)

    asyncio.run(begin_and(upgrade))


def test_the_charts_own_test_passes(helm: Any, installed: str) -> None:
    if not os.environ.get("SPAVL_TEST_STORE"):
        pytest.skip(
            "no store: set SPAVL_TEST_STORE to an s3:// URL that pods can reach, "
            "and SPAVL_TEST_SECRET to a Secret of credentials that admission puts into new namespaces"
        )
    helm.test(RELEASE, timeout=600)


def test_an_uninstall_leaves_nothing_of_the_chart(
    api: Any, core: Any, helm: Any, chart: Path, installed: str
) -> None:
    from kubernetes import client

    helm.uninstall(RELEASE, timeout=300)
    selector = "app.kubernetes.io/managed-by=Helm"
    rights, policies = client.RbacAuthorizationV1Api(api), client.NetworkingV1Api(api)
    left = [
        *core.list_namespaced_config_map(installed, label_selector=selector).items,
        *core.list_namespaced_service_account(installed, label_selector=selector).items,
        *rights.list_namespaced_role(installed, label_selector=selector).items,
        *rights.list_namespaced_role_binding(installed, label_selector=selector).items,
        *policies.list_namespaced_network_policy(installed, label_selector=selector).items,
        *client.BatchV1Api(api).list_namespaced_cron_job(installed, label_selector=selector).items,
    ]
    assert [item.metadata.name for item in left] == []
