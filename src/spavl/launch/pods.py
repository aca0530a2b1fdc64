"""The pods of a step: one container of ours, without any right it does not use, with every place it writes to mounted.

Restricted Pod Security everywhere: no root, no privileges, a root file system that is read only, no service-account token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.config import KubernetesLaunch
from spavl.config.launch import PodConfig
from spavl.config.quantities import doubled, total
from spavl.errors import UserError
from spavl.launch import names
from spavl.launch.command import as_written
from spavl.launch.unit import Unit
from spavl.launch.warm import child_variables

Manifest = dict[str, Any]

USER_ID = 10001  # of our images; vLLM's runs as it too
HOME = "/home/spavl"
MODELS = "/models"
TERMINATION_LOG = "/dev/termination-log"


def pod_template(
    unit: Unit,
    container: Manifest,
    *,
    init_containers: Sequence[Manifest] = (),
    server_volumes: Sequence[Manifest] = (),
) -> Manifest:
    """The pod template of a Job: the client, and what must be fetched or served before it starts."""
    spec: Manifest = {
        "restartPolicy": "Never",
        "serviceAccountName": unit.launch.service_account,
        **hardening(),
        "terminationGracePeriodSeconds": unit.needs.pod.grace_s,
        **placement(unit.launch, unit.needs.pod),
        "containers": [container],
        "volumes": [*client_volumes(unit), *server_volumes],
    }
    if unit.needs.pod.priority_class:
        spec["priorityClassName"] = unit.needs.pod.priority_class
    if init_containers:
        spec["initContainers"] = list(init_containers)
    return {
        "metadata": {"labels": dict(unit.labels), "annotations": unit.pod_annotations},
        "spec": spec,
    }


def client_container(unit: Unit, command: Sequence[str]) -> Manifest:
    """The container that runs our command; its end is the pod's end."""
    return {
        "name": names.CLIENT,
        "image": unit.needs.image,
        "command": list(command),
        "env": environment(unit),
        **client_settings(unit.launch),
        "resources": client_resources(unit),
        "volumeMounts": client_mounts(unit),
    }


def client_settings(launch: KubernetesLaunch) -> Manifest:
    """What every container of ours has that neither its step nor its size decides."""
    settings: Manifest = {**container_hardening(), "imagePullPolicy": launch.images.pull_policy}
    if launch.secrets:
        settings["envFrom"] = [{"secretRef": {"name": name}} for name in launch.secrets]
    return settings


def hardening() -> Manifest:
    """A pod spec's part of restricted Pod Security."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            # a cache of many gigabytes is not walked through at every start
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def container_hardening() -> Manifest:
    """A container's part of restricted Pod Security; what it said last is kept where it said no outcome."""
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def placement(launch: KubernetesLaunch, pod: PodConfig) -> Manifest:
    """Where a pod may land, and with which of the namespace's Secrets its images are pulled."""
    placed: Manifest = {}
    if launch.images.pull_secrets:
        placed["imagePullSecrets"] = [{"name": name} for name in launch.images.pull_secrets]
    if pod.node_selector:
        placed["nodeSelector"] = dict(pod.node_selector)
    if pod.tolerations:
        placed["tolerations"] = [one.model_dump(mode="json", exclude_none=True) for one in pod.tolerations]
    return placed


def resources(
    cpu: str,
    memory: str,
    disk: str,
    *,
    cpu_limit: str | None = None,
    num_gpus: int = 0,
    gpu_resource: str = "",
) -> Manifest:
    """Requests and limits. Memory and disk are promised whole; idle cores may be used up to twice the request."""
    promised = {"memory": memory, "ephemeral-storage": disk}
    limits = {"cpu": cpu_limit or doubled(cpu), **promised}
    if num_gpus:
        limits[gpu_resource] = str(num_gpus)
    return {"requests": {"cpu": cpu, **promised}, "limits": limits}


def client_resources(unit: Unit) -> Manifest:
    pod = unit.needs.pod
    fetches = unit.needs.runs_model and unit.launch.model_cache_claim is None
    disk = total(pod.scratch, unit.launch.model_cache_size) if fetches else pod.scratch
    return resources(
        pod.cpu,
        pod.memory,
        disk,
        cpu_limit=pod.cpu_limit,
        num_gpus=pod.num_gpus,
        gpu_resource=pod.gpu_resource,
    )


def environment(unit: Unit) -> list[Manifest]:
    """Environment of a container of ours; raises UserError where the profile does not say where the store is.

    The profile's own values win over ours. Profile and suites are not needed: the plan in the store holds both.
    """
    launch = unit.launch
    if "SPAVL_STORE" not in launch.env:
        raise UserError(
            "launch.env.SPAVL_STORE is not set: pods would write to their own disk, which ends with them.",
            next_step="Set it to the store that Airflow uses, for instance s3://bucket/prefix.",
        )
    values = {
        "HOME": HOME,
        "USER": "spavl",
        "SPAVL_HOME": f"{HOME}/state",
        "HF_HOME": f"{HOME}/hf",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # thousands of lines in a log
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_XET_CHUNK_CACHE_SIZE_BYTES": "0",  # else up to 10 GB below HOME, of what is fetched once
        **({"HF_HUB_CACHE": f"{MODELS}/hub"} if unit.needs.runs_model else {}),
        **child_variables(launch.num_threads),
        **launch.env,
        "SPAVL_TERMINATION_LOG": TERMINATION_LOG,
    }
    if unit.needs.server:
        values |= _past_proxies(values)
    return [{"name": name, "value": as_written(value)} for name, value in sorted(values.items())]


def _past_proxies(values: Mapping[str, str]) -> dict[str, str]:
    """A server in the same pod is asked directly, whatever proxy the profile names for everything else."""
    spellings = [name for name in ("NO_PROXY", "no_proxy") if name in values] or ["NO_PROXY"]
    return {name: ",".join(filter(None, [values.get(name), "127.0.0.1", "localhost"])) for name in spellings}


def client_mounts(unit: Unit) -> list[Manifest]:
    mounts = [{"name": "home", "mountPath": HOME}, {"name": "tmp", "mountPath": "/tmp"}]
    if unit.needs.runs_model:
        mounts.append({"name": "models", "mountPath": MODELS})
    return mounts + shared_memory_mounts(unit)


def client_volumes(unit: Unit) -> list[Manifest]:
    """Everything the client writes to, and the weights it shares with a server."""
    pod = unit.needs.pod
    volumes: list[Manifest] = [
        {"name": "home", "emptyDir": {"sizeLimit": pod.scratch}},
        {"name": "tmp", "emptyDir": {"sizeLimit": pod.scratch}},
    ]
    if unit.needs.runs_model or unit.needs.server:
        volumes.append(models_volume(unit.launch))
    if pod.shared_memory:
        volumes.append(
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": pod.shared_memory}}
        )
    return volumes


def models_volume(launch: KubernetesLaunch) -> Manifest:
    if launch.model_cache_claim:
        return {"name": "models", "persistentVolumeClaim": {"claimName": launch.model_cache_claim}}
    return {"name": "models", "emptyDir": {"sizeLimit": launch.model_cache_size}}


def shared_memory_mounts(unit: Unit) -> list[Manifest]:
    """Several GPUs of one pod speak through /dev/shm, of which a node gives 64 MB."""
    return [{"name": "shared-memory", "mountPath": "/dev/shm"}] if unit.needs.pod.shared_memory else []
