"""A store behind a proxy that counts and fails on demand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.s3_proxy import S3Proxy

from spavl.artifacts import s3_requests


@pytest.fixture(scope="session")
def proxy_and_address(s3_server: str) -> Iterator[tuple[S3Proxy, str]]:
    proxy = S3Proxy(s3_server)
    with proxy.serve() as address:
        yield proxy, address


@pytest.fixture
def proxy(proxy_and_address: tuple[S3Proxy, str], s3_url: str, monkeypatch: pytest.MonkeyPatch) -> S3Proxy:
    """The proxy that `s3_url` leads through; requests are tried once, so that a fault shows at once."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy_and_address[1])
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3_requests, "PAUSE_S", 0.001)
    return proxy_and_address[0]
