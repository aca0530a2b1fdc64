"""What the tests on a cluster need: a namespace of their own, removed afterwards, with restricted Pod Security enforced.

KUBECONFIG is the cluster, SPAVL_TEST_IMAGE the image `data` of `make images`, where its nodes can pull it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NAMESPACE_GONE_S = 180


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def api() -> Any:
    """A client of the cluster; skips where there is none."""
    from kubernetes import client, config

    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no cluster: set KUBECONFIG to one in which you may create namespaces")
    config.load_kube_config(os.environ["KUBECONFIG"])
    made = client.ApiClient()
    try:
        version = client.VersionApi(made).get_code(_request_timeout=10)
    except Exception as error:
        pytest.fail(f"the cluster of KUBECONFIG does not answer: {type(error).__name__}: {error}")
    print(f"cluster {made.configuration.host}, Kubernetes {version.git_version}")
    return made


@pytest.fixture(scope="session")
def core(api: Any) -> Any:
    from kubernetes import client

    return client.CoreV1Api(api)


@pytest.fixture(scope="session")
def image(api: Any) -> str:
    """The image of all pods; skips where none was named."""
    if not (named := os.environ.get("SPAVL_TEST_IMAGE")):
        pytest.skip(
            "no image: set SPAVL_TEST_IMAGE to the image `data` of `make images`, where nodes can pull it"
        )
    return named


@pytest.fixture(scope="module")
def namespace(core: Any) -> Iterator[str]:
    """A namespace with the account of the job pods; all that is in it goes with it."""
    with empty_namespace(core) as name:
        core.create_namespaced_service_account(name, {"metadata": {"name": "spavl-job"}})
        yield name


@contextmanager
def empty_namespace(core: Any) -> Iterator[str]:
    """A namespace that enforces restricted Pod Security and is gone afterwards."""
    name = f"spavl-test-{uuid.uuid4().hex[:8]}"
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    core.create_namespace({"metadata": {"name": name, "labels": enforced}})
    try:
        yield name
    finally:
        core.delete_namespace(name)
        until(lambda: not _exists(core, name), f"namespace {name} is gone", NAMESPACE_GONE_S)


@pytest.fixture
def installation() -> str:
    """Objects of one test have names that no other test's have."""
    return f"t{uuid.uuid4().hex[:10]}"


def until(is_so: Callable[[], Any], what: str, timeout_s: float = 120) -> Any:
    """The first true answer of `is_so`; fails where there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.5)
    return found


def pods_of(core: Any, namespace: str, base_name: str) -> list[Any]:
    """All pods of one piece of work."""
    return core.list_namespaced_pod(namespace, label_selector=f"spavl.dev/object={base_name}").items


def jobs_of(api: Any, namespace: str, base_name: str) -> list[Any]:
    from kubernetes import client

    selector = f"spavl.dev/object={base_name}"
    return client.BatchV1Api(api).list_namespaced_job(namespace, label_selector=selector).items


def _exists(core: Any, name: str) -> bool:
    from kubernetes import client

    try:
        core.read_namespace(name)
    except client.ApiException as error:
        if error.status == 404:
            return False
        raise
    return True
