"""An S3 server (moto over HTTP) that counts its requests and can be made to fail at any of them, as S3 fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_BODY = "<?xml version='1.0'?><Error><Code>{}</Code><Message>made up by a test</Message></Error>"
LOST = "reply lost"
FAULTS = {  # name -> status line and error code
    "throttled": ("503 Slow Down", "SlowDown"),
    "forbidden": ("403 Forbidden", "AccessDenied"),
    "expired": ("400 Bad Request", "ExpiredToken"),
    "cut": ("", ""),  # the connection ends without an answer
    LOST: ("", ""),  # it ends after the server has done what was asked
}


class CountedS3:
    """The WSGI application around moto's; `requests` holds method and path of each request, `kinds` what it asks for."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application, self._lock = application, threading.Lock()
        self.requests: list[str] = []
        self.kinds: list[str] = []
        self._fails_at, self._fault, self._is_lasting = -1, "", False

    def count_anew(self) -> None:
        with self._lock:
            self.requests.clear()
            self.kinds.clear()
            self._fails_at = -1

    def fail_at(self, number: int, fault: str, *, lasting: bool) -> None:
        """Fail the request of this number, from 0, counted from now on; or that one and all that follow."""
        self.count_anew()
        self._fails_at, self._fault, self._is_lasting = number, fault, lasting

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        with self._lock:
            number = len(self.requests)
            self.requests.append(
                f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}"
            )
            self.kinds.append(_kind(environ))
        is_hit = number == self._fails_at or (self._is_lasting and number > self._fails_at >= 0)
        if not is_hit:
            return self._application(environ, start_response)
        if self._fault == LOST:
            b"".join(self._application(environ, lambda *_: None))
        if self._fault in ("cut", LOST):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        status, code = FAULTS[self._fault]
        start_response(status or "500 Cut", [("Content-Type", "application/xml")])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [_BODY.format(code).encode()]


def _kind(environ: Mapping[str, Any]) -> str:
    if "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "COPY"
    method, query = environ["REQUEST_METHOD"], environ["QUERY_STRING"]
    if method == "POST":
        return "DELETE" if query.startswith("delete") else "PUT"
    return "LIST" if "list-type=2" in query else method


@contextmanager
def counted_s3() -> Iterator[tuple[CountedS3, str]]:
    """The server and its address."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            return

    application = CountedS3(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield application, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


# What a moto server of this process holds, without a request to it.


def put_files(bucket: str, prefix: str, files: Mapping[str, bytes]) -> None:
    """Put {path: content} under a prefix."""
    backend = _backend(bucket)
    for path, content in files.items():
        backend.put_object(bucket, f"{prefix}/{path}", content)


def files_in(bucket: str, prefix: str) -> dict[str, bytes]:
    """{path: content} of all that lies under a prefix."""
    keys = dict(_backend(bucket).buckets[bucket].keys.items())
    start = f"{prefix}/"
    return {name[len(start) :]: key.value for name, key in keys.items() if name.startswith(start)}


def remove_files(bucket: str, prefix: str) -> None:
    """Remove all that lies under a prefix."""
    backend = _backend(bucket)
    for path in files_in(bucket, prefix):
        backend.delete_object(bucket, f"{prefix}/{path}")


def _backend(bucket: str) -> Any:
    from moto.s3.models import s3_backends

    (account,) = (one for one in s3_backends if bucket in s3_backends[one]["aws"].buckets)
    return s3_backends[account]["aws"]
