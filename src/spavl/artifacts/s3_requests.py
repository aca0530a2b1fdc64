"""Requests to one bucket through s3fs's client: the session, the retries, and the count of what is really sent.

s3fs finds the credentials and the endpoint and keeps the connections. Connection errors, 5xx and throttling are tried again
by botocore; a reply that breaks off in the middle is tried again here.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from spavl.artifacts.disk import PIECE_BYTES
from spavl.artifacts.faults import client_error

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
NUM_CONNECTIONS = 16
NUM_TRIES = 5  # of one request, by botocore: with its pauses at most some 30 s of throttling
NUM_TRIES_OF_REPLY = 3  # if the connection breaks off in the middle of a reply
_KINDS = {
    "GetObject": "GET",
    "PutObject": "PUT",
    "CreateMultipartUpload": "PUT",
    "UploadPart": "PUT",
    "CompleteMultipartUpload": "PUT",
    "HeadObject": "HEAD",
    "HeadBucket": "HEAD",
    "ListObjectsV2": "LIST",
    "DeleteObject": "DELETE",
    "DeleteObjects": "DELETE",
    "AbortMultipartUpload": "DELETE",
    "CopyObject": "COPY",
    "UploadPartCopy": "COPY",
}
_BROKEN_OFF = {
    "AioReadTimeoutError", "ClientPayloadError", "IncompleteReadError", "ResponseParserError", "ResponseStreamingError",
    "ServerDisconnectedError", "SocketTimeoutError",
}  # fmt: skip

T = TypeVar("T")


class Requests:
    """Asks the S3 server that s3fs finds, from any thread."""

    def __init__(self, bucket: str) -> None:
        import fsspec

        self.bucket = bucket
        # An instance of its own: s3fs would hand out one that was made with other credentials or another endpoint
        self.fs: Any = fsspec.filesystem(
            "s3", config_kwargs=_config(), use_listings_cache=False, skip_instance_cache=True
        )
        self.fs.retries = 1  # botocore tries again; both would multiply
        self._counted: object = None
        self._sent: Counter[str] = Counter()

    @property
    def sent(self) -> dict[str, int]:
        """Requests that were sent, by kind, each try counted."""
        return dict(sorted(self._sent.items()))

    def ask(self, operation: str, key: str | None, **options: Any) -> Any:
        """The reply to one operation; `key` is None for the bucket's own."""
        return self.run(self._ask, operation, key, **options)

    def get(self, key: str, **options: Any) -> bytes:
        """The bytes of an object or a range."""
        return self.whole(lambda: self.run(self._get, key, **options))

    def piece(self, body: Any) -> bytes:
        """The next piece of a reply's body; empty at its end."""
        return self.run(_piece, body)

    def run(self, ask: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function of s3fs or of this module on s3fs's thread."""
        from fsspec.asyn import sync

        return sync(self.fs.loop, self._run, ask, args, kwargs)

    @staticmethod
    def whole(ask: Callable[[], T]) -> T:
        """What `ask` returns, asked again if its reply breaks off."""
        for tries in range(1, NUM_TRIES_OF_REPLY):
            try:
                return ask()
            except Exception as error:
                if not is_broken_off(error):
                    raise
                pause(tries)
        return ask()

    async def _run(self, ask: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        client = await self.fs.set_session()
        if client is not self._counted:  # s3fs makes a new one if the connections of the old one were closed
            client.meta.events.register("before-send.s3", self._count)
            self._counted = client
        return await ask(*args, **kwargs)

    def _count(self, event_name: str = "", **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        self._sent[_KINDS.get(operation, operation)] += 1

    async def _ask(self, operation: str, key: str | None, **options: Any) -> Any:
        place = {} if key is None else {"Key": key}
        return await self.fs._call_s3(operation, Bucket=self.bucket, **place, **options)

    async def _get(self, key: str, **options: Any) -> bytes:
        reply = await self._ask("get_object", key, **options)
        async with reply["Body"] as body:
            return await body.read()


async def _piece(body: Any) -> bytes:
    pieces, num_bytes = [], 0
    while num_bytes < PIECE_BYTES and (piece := await body.read(PIECE_BYTES - num_bytes)):
        pieces.append(piece)
        num_bytes += len(piece)
    return b"".join(pieces)


def is_broken_off(error: Exception) -> bool:
    """Whether the connection ended in the middle of a reply."""
    return client_error(error) is None and type(error).__name__ in _BROKEN_OFF


def pause(tries: int) -> None:
    """Wait before the next try; twice as long each time."""
    time.sleep(random.uniform(0.5, 1) * 0.5 * 2**tries)


def _config() -> dict[str, Any]:
    tries = int(os.environ.get("AWS_MAX_ATTEMPTS") or NUM_TRIES)
    mode = os.environ.get("AWS_RETRY_MODE") or "standard"
    return {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "max_pool_connections": NUM_CONNECTIONS,
        "retries": {"mode": mode, "total_max_attempts": tries},
    }
