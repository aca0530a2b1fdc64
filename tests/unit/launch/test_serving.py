"""A vLLM server beside its client: weights first, an unmodified image, nobody else's server, and it starts or is seen failing."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from typing import Any

import pytest
from tests.cluster_plan import JUDGE, cluster_plan

from spavl.config import VllmModel
from spavl.errors import UserError
from spavl.inference.weights import weights_folder
from spavl.launch.wanted import wanted


def pod(judge: dict[str, Any] | None = None, **launch: Any) -> dict[str, Any]:
    plan = cluster_plan(launch, judgements={"judge": {**JUDGE, **(judge or {})}})
    return wanted(plan, "judgements", "work", "judge", 4).manifest["spec"]["template"]["spec"]


def server(judge: dict[str, Any] | None = None, **launch: Any) -> dict[str, Any]:
    return pod(judge, **launch)["initContainers"][1]


def test_weights_are_fetched_before_the_server_starts_and_the_server_before_the_client() -> None:
    spec = pod()
    weights, vllm = spec["initContainers"]
    assert (weights["name"], vllm["name"], spec["containers"][0]["name"]) == ("weights", "vllm", "spavl")
    assert "restartPolicy" not in weights and vllm["restartPolicy"] == "Always"  # which makes it a sidecar


def test_the_server_is_told_where_the_weights_are_and_what_they_are_called() -> None:
    folder = weights_folder(VllmModel.model_validate(JUDGE))
    assert server({"num_gpus": 4, "args": ["--max-model-len", "8192"]})["command"] == [
        "vllm", "serve", f"/models/{folder}", "--served-model-name", "judge", "--host", "127.0.0.1", "--port", "8000",
        "--tensor-parallel-size", "4", "--enable-prefix-caching", "--max-model-len", "8192",
    ]  # fmt: skip


@pytest.mark.parametrize(("num_gpus", "parallel"), [(0, "1"), (1, "1"), (8, "8")])
def test_the_model_is_split_over_the_servers_gpus(num_gpus: int, parallel: str) -> None:
    vllm = server({"num_gpus": num_gpus}, inference={"gpu_resource": "amd.com/gpu"})
    command = vllm["command"]
    assert command[command.index("--tensor-parallel-size") + 1] == parallel
    assert vllm["resources"]["limits"].get("amd.com/gpu", "0") == str(num_gpus)


def test_weights_and_server_share_one_folder_that_the_server_cannot_change() -> None:
    weights, vllm = pod()["initContainers"]
    assert {"name": "models", "mountPath": "/models"} in weights["volumeMounts"]
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in vllm["volumeMounts"]
    assert weights["command"][-4:] == ["--model", "judge", "--folder", "/models"]


def test_every_place_the_server_writes_to_is_an_empty_folder_of_its_own() -> None:
    vllm = server()
    values = {one["name"]: one["value"] for one in vllm["env"]}
    for name in ("HOME", "XDG_CACHE_HOME", "HF_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):  # fmt: skip
        assert values[name].startswith("/home/vllm")
    assert vllm["workingDir"] == "/home/vllm"
    mounts = {mount["mountPath"]: mount["name"] for mount in vllm["volumeMounts"]}
    assert mounts == {"/models": "models", "/home/vllm": "server-home", "/tmp": "server-tmp"}


def test_the_server_asks_nobody_and_holds_no_secret() -> None:
    vllm = server(secrets=["keys"])
    values = {one["name"]: one["value"] for one in vllm["env"]}
    assert values["HF_HUB_OFFLINE"] == "1" and "envFrom" not in vllm and "SPAVL_STORE" not in values


def test_a_models_switches_reach_its_server_alone() -> None:
    spec = pod({"env": {"NCCL_P2P_DISABLE": "1", "VLLM_CACHE_ROOT": "/tmp/$x"}})
    (client,) = spec["containers"]
    weights, vllm = spec["initContainers"]
    values = {one["name"]: one["value"] for one in vllm["env"]}
    assert (values["NCCL_P2P_DISABLE"], values["VLLM_CACHE_ROOT"]) == ("1", "/tmp/$$x")
    assert not any(one["name"] == "NCCL_P2P_DISABLE" for one in [*client["env"], *weights["env"]])


def test_the_probe_waits_as_long_as_loading_may_take() -> None:
    probe = server({"startup_timeout_s": 1801})["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 1810


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(("status", "is_ready"), [(200, True), (503, False)])
def test_the_probe_passes_only_when_the_server_is_healthy(status: int, is_ready: bool) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Health) as listening:
        listening.status = status
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        port = listening.server_address[1]
        _, *arguments = server({"base_url": f"http://127.0.0.1:{port}/v1"})["startupProbe"]["exec"]["command"]
        ended = subprocess.run([sys.executable, *arguments], capture_output=True)
        listening.shutdown()
    assert (ended.returncode == 0) == is_ready


def test_the_server_listens_where_the_client_asks() -> None:
    command = server({"base_url": "http://localhost:9001/v1"})["command"]
    assert command[command.index("--port") + 1] == "9001"


@pytest.mark.parametrize("address", ["http://gpu-box:8000/v1", "https://127.0.0.1/v1"])
def test_a_server_elsewhere_is_an_endpoint(address: str) -> None:
    with pytest.raises(UserError, match="use kind `endpoint`"):
        pod({"base_url": address})


def test_disk_for_weights_and_caches_is_asked_for() -> None:
    weights, vllm = pod(model_cache_size="40Gi")["initContainers"]
    assert weights["resources"]["requests"]["ephemeral-storage"] == "40Gi"
    assert vllm["resources"]["requests"]["ephemeral-storage"] == "50Gi"
    assert server(model_cache_claim="weights-cache")["resources"]["requests"]["ephemeral-storage"] == "10Gi"


def test_shared_memory_is_the_servers_too() -> None:
    mount = {"name": "shared-memory", "mountPath": "/dev/shm"}
    assert mount in server(inference={"shared_memory": "4Gi"})["volumeMounts"]


def test_a_client_asks_its_own_server_past_the_profiles_proxy() -> None:
    proxied = {"SPAVL_STORE": "s3://b/p", "HTTP_PROXY": "http://proxy:3128", "no_proxy": ".internal"}
    for env, name, value in (
        (proxied, "no_proxy", ".internal,127.0.0.1,localhost"),
        ({"SPAVL_STORE": "s3://b/p"}, "NO_PROXY", "127.0.0.1,localhost"),
    ):
        values = {one["name"]: one.get("value") for one in pod(env=env)["containers"][0]["env"]}
        assert values[name] == value
