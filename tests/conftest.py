"""What every test needs: a SPAVL_HOME of its own, stores on disk and on S3 (a real HTTP server), and no network."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GX_ANALYTICS_ENABLED"] = "false"


@pytest.fixture(autouse=True)
def spavl_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty SPAVL_HOME for each test, and no store but the one in it."""
    home = tmp_path / "spavl-home"
    monkeypatch.setenv("SPAVL_HOME", str(home))
    monkeypatch.delenv("SPAVL_STORE", raising=False)
    return home


@pytest.fixture(autouse=True, scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The home of what fixtures of a module or session do: each of pytest's processes has its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPAVL_HOME", str(tmp_path_factory.mktemp("session-home")))
        yield


@pytest.fixture(scope="session")
def test_cache() -> Path:
    """A folder that outlives the session, for what is costly to make and named by its fingerprint."""
    folder = Path(os.environ.get("SPAVL_TEST_CACHE") or Path(tempfile.gettempdir()) / "spavl-test-cache")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of an S3 server on this machine (moto over HTTP)."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty place in a bucket of that server; the credentials are the server's made-up ones."""
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="spavl-tests")
    return f"s3://spavl-tests/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def proxy_and_address(s3_server: str) -> Iterator[tuple[Any, str]]:
    """A proxy before that server, and its address."""
    from tests.s3_proxy import S3Proxy

    proxy = S3Proxy(s3_server)
    with proxy.serve() as address:
        yield proxy, address


@pytest.fixture
def proxy(proxy_and_address: tuple[Any, str], s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The proxy that `s3_url` leads through: it counts and fails on demand. Requests are tried once, so that a fault shows at once."""
    from spavl.artifacts import s3_requests

    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy_and_address[1])
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3_requests, "PAUSE_S", 0.001)
    return proxy_and_address[0]


@pytest.fixture(params=["file", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same test on disk and on S3."""
    return f"file://{tmp_path / 'store'}" if request.param == "file" else request.getfixturevalue("s3_url")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A simulated API server of a cluster, over HTTP, that KUBECONFIG leads to."""
    from tests.cluster_api import ClusterApi

    with ClusterApi().serve() as served:
        monkeypatch.setenv("KUBECONFIG", str(served.write_kubeconfig(tmp_path / "kubeconfig")))
        yield served
