"""What the cluster itself refuses: pods without restricted security, connections that no policy opens."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.charts.rendered import combination, one, rendered
from tests.cluster.conftest import until
from tests.cluster.work import work_of

CONNECT = """
import os, socket, sys
try:
    socket.create_connection((os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])), 5).close()
except OSError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def pod_of(namespace: str, image: str, program: str, name: str) -> dict[str, Any]:
    """The pod of one of our Jobs."""
    template = copy.deepcopy(work_of(namespace, image, program).manifest["spec"]["template"])
    return {"metadata": {**template["metadata"], "name": name}, "spec": template["spec"]}


def phase_at_the_end(core: Any, namespace: str, pod: dict[str, Any]) -> str:
    """Run a pod to its end; Succeeded or Failed."""
    name = pod["metadata"]["name"]
    core.create_namespaced_pod(namespace, pod)

    def phase() -> str | None:
        seen = core.read_namespaced_pod(name, namespace).status.phase
        return seen if seen in ("Succeeded", "Failed") else None

    return until(phase, f"pod {name} has ended")


def test_our_pods_pass_restricted_pod_security(core: Any, namespace: str, image: str) -> None:
    assert phase_at_the_end(core, namespace, pod_of(namespace, image, "pass", "restricted")) == "Succeeded"


@pytest.mark.parametrize(
    ("of", "change"),
    [
        ("container", {"privileged": True, "allowPrivilegeEscalation": True}),
        ("container", {"capabilities": {"drop": []}}),
        ("pod", {"runAsUser": 0, "runAsNonRoot": False}),
    ],
    ids=["privileged", "with capabilities", "as root"],
)
def test_a_pod_with_more_rights_is_refused(
    core: Any, namespace: str, image: str, of: str, change: dict[str, Any]
) -> None:
    from kubernetes import client

    pod = pod_of(namespace, image, "pass", "too-much")
    target = pod["spec"] if of == "pod" else pod["spec"]["containers"][0]
    target["securityContext"] |= change
    with pytest.raises(client.ApiException, match="violates PodSecurity") as refused:
        core.create_namespaced_pod(namespace, pod, dry_run="All")
    assert refused.value.status == 403


def test_a_pod_can_write_to_its_home_and_tmp_and_nowhere_else(core: Any, namespace: str, image: str) -> None:
    program = """
import os, pathlib, sys
for folder in (os.environ["HOME"], "/tmp"):
    pathlib.Path(folder, "file").write_text("x")
try:
    pathlib.Path("/opt/file").write_text("x")
except OSError:
    sys.exit(0)
sys.exit("the root file system can be written to")
"""
    assert phase_at_the_end(core, namespace, pod_of(namespace, image, program, "writes")) == "Succeeded"


def test_a_denied_connection_is_cut(api: Any, core: Any, namespace: str, image: str) -> None:
    from kubernetes import client

    before = phase_at_the_end(core, namespace, pod_of(namespace, image, CONNECT, "open"))
    assert before == "Succeeded", "without policies a pod should reach the API server"
    deny = one("NetworkPolicy", "spavl-deny", rendered(combination("existing-airflow")))
    deny["metadata"]["namespace"] = namespace
    client.NetworkingV1Api(api).create_namespaced_network_policy(namespace, deny)
    if phase_at_the_end(core, namespace, pod_of(namespace, image, CONNECT, "denied")) == "Succeeded":
        pytest.skip("this cluster's network plugin enforces no NetworkPolicy, so nothing could be shown")
