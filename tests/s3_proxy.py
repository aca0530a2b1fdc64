"""An HTTP server between a store and an S3 server: it counts what arrives, and answers with faults where it is told to."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_XML = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'
REFUSALS = {
    "SlowDown": 503,
    "InternalError": 500,
    "AccessDenied": 403,
    "ExpiredToken": 400,
    "InvalidAccessKeyId": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "InvalidRequest": 400,
    "ConditionalRequestConflict": 409,
}
PAGES = {"a proxy's 404": 404, "a proxy's 200": 200}  # of something that is no S3 server
BREAKS = ("cut", "cut in the body", "silence")
SILENCE_S = 2.0
LATE_S = 1.5  # before the fault "late" answers after all
SLOW_PIECE_BYTES, SLOW_PIECE_S = 2**21, 0.15  # how the fault "slow" reads and writes bodies


class S3Proxy:
    """`fail` says what happens to requests that name `place` in their path, query, body or copy source."""

    def __init__(self, upstream: str) -> None:
        self._host = urlsplit(upstream).netloc
        self._faults: dict[str, tuple[str, int, tuple[str, ...]]] = {}
        self._lock = threading.Lock()
        self._received: Counter[str] = Counter()

    def fail(self, place: str, fault: str, times: int = 10**6, kinds: tuple[str, ...] = ()) -> None:
        """The next `times` requests about `place` (of these kinds; all by default) meet the fault."""
        with self._lock:
            self._faults[place] = (fault, times, kinds)

    def heal(self, place: str) -> None:
        with self._lock:
            del self._faults[place]

    @property
    def received(self) -> dict[str, int]:
        """Requests that arrived, by kind."""
        with self._lock:
            return dict(sorted(self._received.items()))

    def fault_of(self, kind: str, words: str) -> str | None:
        """Counts a request and says which fault it meets."""
        with self._lock:
            self._received[kind] += 1
            for place, (fault, times, kinds) in self._faults.items():
                if place in words and times and (not kinds or kind in kinds):
                    self._faults[place] = (fault, times - 1, kinds)
                    return fault
        return None

    def is_slow(self, path: str) -> bool:
        """Whether bodies come and go slowly there."""
        with self._lock:
            return any(place in path and fault == "slow" for place, (fault, *_) in self._faults.items())

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            connection.request(method, path, body or None, headers)
            reply = connection.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            connection.close()

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Its address."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: S3Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def _answer(self) -> None:
        is_slow = self.proxy.is_slow(self.path)
        body = self._body(is_slow)
        copied = self.headers.get("x-amz-copy-source", "")
        words = " ".join([self.path, copied, body.decode("latin-1") if self.command == "POST" else ""])
        fault = self.proxy.fault_of(self._kind(), words)
        if fault in REFUSALS:
            return self._reply(
                REFUSALS[fault], [("Content-Type", "application/xml")], _XML.format(code=fault).encode()
            )
        if fault in PAGES:
            return self._reply(
                PAGES[fault], [("Content-Type", "text/html")], b"<html><body>hello</body></html>"
            )
        if fault and fault.startswith("refuses a name: "):
            code = fault.rpartition(" ")[2]
            key = body.decode().partition("<Key>")[2].partition("</Key>")[0]
            content = f"<DeleteResult><Error><Key>{key}</Key><Code>{code}</Code></Error></DeleteResult>"
            return self._reply(200, [("Content-Type", "application/xml")], content.encode())
        if fault == "silence":
            time.sleep(SILENCE_S)
        if fault in ("cut", "silence"):
            self.close_connection = True
            return None
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        if fault == "late":
            time.sleep(LATE_S)
        return self._reply(
            *self.proxy.forward(self.command, self.path, headers, body),
            is_cut=fault == "cut in the body",
            is_slow=is_slow,
        )

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer

    def _reply(
        self,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        is_cut: bool = False,
        is_slow: bool = False,
    ) -> None:
        named = {name.lower(): value for name, value in headers}
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        length = (
            named.get("content-length", str(len(content))) if self.command == "HEAD" else str(len(content))
        )
        self.send_header("Content-Length", length)
        self.end_headers()
        content = b"" if self.command == "HEAD" else content[: len(content) // 2] if is_cut else content
        for start in range(0, len(content), SLOW_PIECE_BYTES) if is_slow else ():
            time.sleep(SLOW_PIECE_S)
            self.wfile.write(content[start : start + SLOW_PIECE_BYTES])
        if not is_slow:
            self.wfile.write(content)
        self.close_connection = self.close_connection or is_cut

    def _body(self, is_slow: bool) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            length, body = int(self.headers.get("Content-Length") or 0), b""
            while is_slow and len(body) < length:
                time.sleep(SLOW_PIECE_S)
                body += self.rfile.read(min(SLOW_PIECE_BYTES, length - len(body)))
            return body or self.rfile.read(length)
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _kind(self) -> str:
        if "x-amz-copy-source" in self.headers:
            return "COPY"
        if self.command == "POST":
            return "DELETE" if self.path.endswith("?delete") else "PUT"
        return "LIST" if "list-type=2" in self.path else self.command
