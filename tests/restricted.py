"""What Kubernetes' restricted Pod Security Standard and our own promises demand of a pod, as a list of what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def broken_promises(spec: dict[str, Any]) -> list[str]:
    return [*_of_pod(spec), *(f"{c['name']}: {said}" for c in containers(spec) for said in _of_container(c))]


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def _of_pod(spec: dict[str, Any]) -> Iterator[str]:
    security = spec.get("securityContext", {})
    if not security.get("runAsNonRoot") or security.get("runAsUser", 0) == 0 or not security.get("fsGroup"):
        yield "may run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield "mounts a token"
    if spec.get("enableServiceLinks") is not False:
        yield "is told of all Services"
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares the host's namespaces"
    for volume in spec.get("volumes", []):
        if set(volume) - {"name"} - {"emptyDir", "persistentVolumeClaim"}:
            yield f"volume {volume['name']} is of a kind that is not allowed"
        if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"):
            yield f"volume {volume['name']} has no size"


def _of_container(container: dict[str, Any]) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "may gain privileges"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if not security.get("readOnlyRootFilesystem"):
        yield "may write to its root"
    if not security.get("runAsNonRoot"):
        yield "may run as root"
    for kind in ("requests", "limits"):
        lacking = {"cpu", "memory", "ephemeral-storage"} - set(container.get("resources", {}).get(kind, {}))
        if lacking:
            yield f"has no {kind} for {sorted(lacking)}"
    name, _, tag = container.get("image", "").rpartition("/")[2].partition(":")
    if not tag or tag == "latest":
        yield f"image {name} is not pinned"
