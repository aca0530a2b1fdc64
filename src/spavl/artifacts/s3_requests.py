"""Requests to one bucket through s3fs's client: the session, the retries, and the count of what is really sent.

s3fs finds the credentials and the endpoint and keeps the connections. Connection errors, 5xx and throttling are tried again
by botocore; a reply that breaks off in the middle is tried again here.

A server that takes a request and says nothing is given up after SPAVL_S3_TIMEOUT_S (default 20) seconds, and the request
with all its tries after three times that. Only silence counts: bytes that come or go, however slowly, start it anew, and what
is sent has a second more for each MB.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from spavl.artifacts.disk import PIECE_BYTES
from spavl.artifacts.faults import client_error, code_of, is_about_credentials
from spavl.errors import UserError

TIMEOUT = "SPAVL_S3_TIMEOUT_S"  # environment variable
TIMEOUT_S = 20.0  # S3 begins to answer within a second or two
CONNECT_TIMEOUT_S = 10.0
TOTAL_TIMEOUTS = 3  # of one request with all its tries
LONG_TIMEOUTS = 15  # what a server may need before it answers if it copies or joins gigabytes itself: so many of the others
SLOWEST_BYTES_PER_S = 2**20  # of what is sent
NUM_CONNECTIONS = 16
NUM_TRIES = 5  # of one request, by botocore: with its pauses at most some 30 s of throttling
NUM_TRIES_OF_REPLY = 3  # if the connection breaks off in the middle of a reply
PAUSE_S = 0.5
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
_LONG = ("CopyObject", "UploadPartCopy", "CompleteMultipartUpload")
_BROKEN_OFF = {
    "AioReadTimeoutError", "ClientPayloadError", "IncompleteReadError", "ResponseParserError", "ResponseStreamingError",
    "ServerDisconnectedError", "SocketTimeoutError",
}  # fmt: skip

T = TypeVar("T")


# the counter of the store whose request is on its way: stores share connections
_asking: ContextVar[Counter[str] | None] = ContextVar("asking", default=None)


class Requests:
    """Asks the S3 server that s3fs finds, from any thread."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.fs = _filesystem(os.getpid(), _environment())
        self._sent: Counter[str] = Counter()
        self.is_bucket_there = False  # as far as any reply has shown

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

        try:
            reply = sync(self.fs.loop, self._run, ask, args, kwargs)
        except Exception as error:
            if (refusal := client_error(error)) is not None:
                self.is_bucket_there |= code_of(refusal) == "NoSuchKey"
                if is_about_credentials(refusal):
                    _filesystem.cache_clear()  # the next store looks for new ones
            raise
        self.is_bucket_there = True
        return reply

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
        _asking.set(self._sent)  # of this task and of those that it starts
        client = await self.fs.set_session()
        client.meta.events.register("before-send.s3", _count, unique_id="spavl")
        for operation in _LONG:
            client.meta.events.register(
                f"before-call.s3.{operation}", _wait_long, unique_id=f"spavl-{operation}"
            )
        return await ask(*args, **kwargs)

    async def _ask(self, operation: str, key: str | None, **options: Any) -> Any:
        place = {} if key is None else {"Key": key}
        limit_s = _total_s(operation, len(options.get("Body", b"")))
        asked = self.fs._call_s3(operation, Bucket=self.bucket, **place, **options)
        try:
            return await asyncio.wait_for(asked, limit_s)
        except TimeoutError:
            # no TimeoutError: fsspec would put one without words in its place
            raise ConnectionAbortedError(f"no answer in {limit_s:g} s") from None

    async def _get(self, key: str, **options: Any) -> bytes:
        reply = await self._ask("get_object", key, **options)
        async with reply["Body"] as body:
            return await body.read()


def timeout_s() -> float:
    """Seconds that S3 may say nothing; raises UserError if the environment gives no number above 0."""
    text = os.environ.get(TIMEOUT) or str(TIMEOUT_S)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UserError(
            f"{TIMEOUT} is {text!r}.", next_step=f"Give seconds above 0; the default is {TIMEOUT_S:g}."
        )
    return value


def _total_s(operation: str, num_bytes_sent: int) -> float:
    is_long = operation.title().replace("_", "") in _LONG
    timeouts = LONG_TIMEOUTS if is_long else TOTAL_TIMEOUTS
    return timeouts * timeout_s() + num_bytes_sent / SLOWEST_BYTES_PER_S


def _wait_long(params: dict[str, Any], **_: Any) -> None:
    params["context"]["read_timeout"] = LONG_TIMEOUTS * timeout_s()


def _count(event_name: str = "", **_: Any) -> None:
    operation = event_name.rpartition(".")[2]
    if (sent := _asking.get()) is not None:
        sent[_KINDS.get(operation, operation)] += 1


@functools.lru_cache(maxsize=4)
def _filesystem(process: int, environment: tuple[tuple[str, str], ...]) -> Any:
    """s3fs's connections of one process and one environment: its own cache knows neither endpoint nor credentials."""
    import fsspec

    filesystem = fsspec.filesystem(
        "s3", config_kwargs=_config(), use_listings_cache=False, skip_instance_cache=True
    )
    filesystem.retries = 1  # botocore tries again; both would multiply
    return filesystem


def _environment() -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (name, value)
            for name, value in os.environ.items()
            if name.startswith(("AWS_", "FSSPEC_", TIMEOUT))
        )
    )


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
    time.sleep(random.uniform(0.5, 1) * PAUSE_S * 2**tries)


def _config() -> dict[str, Any]:
    tries = int(os.environ.get("AWS_MAX_ATTEMPTS") or NUM_TRIES)
    mode = os.environ.get("AWS_RETRY_MODE") or "standard"
    return {
        "connect_timeout": min(CONNECT_TIMEOUT_S, timeout_s()),
        "read_timeout": timeout_s(),
        "max_pool_connections": NUM_CONNECTIONS,
        "retries": {"mode": mode, "total_max_attempts": tries},
    }
