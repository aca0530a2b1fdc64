"""An S3 server (moto over HTTP) that counts its requests and can be made to fail at any of them, as S3 fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_BODY = "<?xml version='1.0'?><Error><Code>{}</Code><Message>made up by a test</Message></Error>"
FAULTS = {  # name -> status line and error code
    "throttled": ("503 Slow Down", "SlowDown"),
    "forbidden": ("403 Forbidden", "AccessDenied"),
    "expired": ("400 Bad Request", "ExpiredToken"),
    "cut": ("", ""),  # the connection ends without an answer
}


class CountedS3:
    """The WSGI application around moto's; `requests` holds method and path of each request."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application, self._lock = application, threading.Lock()
        self.requests: list[str] = []
        self._fails_at, self._fault, self._is_lasting = -1, "", False

    def count_anew(self) -> None:
        with self._lock:
            self.requests.clear()
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
        is_hit = number == self._fails_at or (self._is_lasting and number > self._fails_at >= 0)
        if not is_hit:
            return self._application(environ, start_response)
        if self._fault == "cut":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        status, code = FAULTS[self._fault]
        start_response(status or "500 Cut", [("Content-Type", "application/xml")])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [_BODY.format(code).encode()]


@contextmanager
def counted_s3() -> Iterator[tuple[CountedS3, str]]:
    """The server and its address."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = CountedS3(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield application, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
