"""A vLLM server beside the client: pinned weights are fetched first, then the official image serves them as a native sidecar.

The server ends with the client, so the Job does too. It listens on 127.0.0.1: it has no key, and is nobody else's even
where no NetworkPolicy is enforced. The kubelet cannot ask that address, so the startup probe asks it from inside.
"""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from spavl.config import VllmModel
from spavl.config.quantities import total
from spavl.errors import UserError
from spavl.inference.weights import weights_folder
from spavl.launch import names
from spavl.launch.command import as_written, weights_command
from spavl.launch.needs import image
from spavl.launch.pods import (
    HOME,
    MODELS,
    Manifest,
    client_settings,
    container_hardening,
    environment,
    resources,
    shared_memory_mounts,
)
from spavl.launch.unit import Unit

SERVER_HOME = "/home/vllm"
PROBE_EVERY_S = 10
_CACHES = "10Gi"  # compiled kernels and graphs
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PROBE = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)"


def init_containers(unit: Unit) -> list[Manifest]:
    """The weights' fetcher, then the server; empty where the step asks no vLLM model."""
    model = unit.needs.server
    return [] if model is None else [_weights(unit, model), _server(unit, model)]


def volumes(unit: Unit) -> list[Manifest]:
    """What the server writes to: the unmodified image has a read-only root here."""
    if unit.needs.server is None:
        return []
    return [{"name": name, "emptyDir": {"sizeLimit": _CACHES}} for name in ("server-home", "server-tmp")]


def _weights(unit: Unit, model: VllmModel) -> Manifest:
    launch = unit.launch
    disk = "1Gi" if launch.model_cache_claim else launch.model_cache_size
    return {
        "name": names.WEIGHTS,
        "image": image(launch, "data"),
        "command": weights_command(unit.run_id, model.name, MODELS),
        "env": environment(unit),
        **client_settings(launch),
        "resources": resources("1", "4Gi", disk),
        "volumeMounts": [
            {"name": "models", "mountPath": MODELS},
            {"name": "home", "mountPath": HOME},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _server(unit: Unit, model: VllmModel) -> Manifest:
    launch, port = unit.launch, _port(model)
    disk = _CACHES if launch.model_cache_claim else total(launch.model_cache_size, _CACHES)
    return {
        "name": names.SERVER,
        "image": image(launch, "vllm"),
        "imagePullPolicy": launch.images.pull_policy,
        "restartPolicy": "Always",
        "command": _command(model, port),
        "workingDir": SERVER_HOME,  # the image's own need not be open to our user
        "env": _environment(model),
        **container_hardening(),
        "startupProbe": {
            "exec": {"command": ["python3", "-c", _PROBE, f"http://127.0.0.1:{port}/health"]},
            "periodSeconds": PROBE_EVERY_S,
            "timeoutSeconds": PROBE_EVERY_S,
            "failureThreshold": math.ceil(model.startup_timeout_s / PROBE_EVERY_S),
        },
        "resources": resources(
            model.cpu,
            model.memory,
            disk,
            num_gpus=model.num_gpus,
            gpu_resource=unit.needs.pod.gpu_resource,
        ),
        "volumeMounts": [
            {"name": "models", "mountPath": MODELS, "readOnly": True},
            {"name": "server-home", "mountPath": SERVER_HOME},
            {"name": "server-tmp", "mountPath": "/tmp"},
            *shared_memory_mounts(unit),
        ],
    }


# No secret is among them, and nothing leads out: the weights lie on the disk.
_SERVER_ENVIRONMENT = {
    "HOME": SERVER_HOME,
    "USER": "spavl",  # the image's passwd does not know our user, and caches are named by it
    "XDG_CACHE_HOME": f"{SERVER_HOME}/cache",
    "XDG_CONFIG_HOME": f"{SERVER_HOME}/config",
    "HF_HOME": f"{SERVER_HOME}/hf",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_CACHE_ROOT": f"{SERVER_HOME}/cache/vllm",
    "VLLM_CONFIG_ROOT": f"{SERVER_HOME}/config/vllm",
    "VLLM_NO_USAGE_STATS": "1",
    "TRITON_CACHE_DIR": f"{SERVER_HOME}/cache/triton",
    "TORCHINDUCTOR_CACHE_DIR": f"{SERVER_HOME}/cache/inductor",
    "CUDA_CACHE_PATH": f"{SERVER_HOME}/cache/cuda",
    "FLASHINFER_WORKSPACE_BASE": SERVER_HOME,
    "NUMBA_CACHE_DIR": f"{SERVER_HOME}/cache/numba",
    "MPLCONFIGDIR": f"{SERVER_HOME}/config/matplotlib",
}


def _environment(model: VllmModel) -> list[Manifest]:
    """The profile's own values win over ours."""
    values = {**_SERVER_ENVIRONMENT, **model.env}
    return [{"name": name, "value": as_written(value)} for name, value in sorted(values.items())]


def _command(model: VllmModel, port: int) -> list[str]:
    return [
        "vllm", "serve", f"{MODELS}/{weights_folder(model)}", "--served-model-name", model.name,
        "--host", "127.0.0.1", "--port", str(port), "--tensor-parallel-size", str(max(1, model.num_gpus)),
        "--enable-prefix-caching", *(as_written(arg) for arg in model.args),
    ]  # fmt: skip


def _port(model: VllmModel) -> int:
    """The port that the client asks; raises UserError where it would ask another machine than its own pod."""
    address = urlsplit(model.base_url)
    if address.scheme != "http" or address.hostname not in _LOOPBACK:
        raise UserError(
            f"model {model.name!r}: base_url {model.base_url!r} is not in the pod that serves it.",
            next_step="Leave base_url out, or use kind `endpoint` for a server elsewhere.",
        )
    return address.port or 80
