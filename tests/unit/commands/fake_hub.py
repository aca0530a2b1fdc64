"""A model hub over HTTP for tests: one repository at one commit, as huggingface_hub asks for it."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Hub:
    files: dict[str, bytes]
    repository: str = "organisation/judge"
    status: int = 200  # of the listing: 200, or what goes wrong
    url: str = ""
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def running_hub(files: dict[str, bytes]) -> Iterator[Hub]:
    hub = Hub(files)

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            hub.asked.append(f"{self.command} {path}")
            api, files = f"/api/models/{hub.repository}", f"/{hub.repository}/resolve/"
            if path.startswith(f"{api}/"):
                content = json.dumps(self._listing() if "/tree/" in path else {"id": hub.repository, "sha": COMMIT}).encode()  # fmt: skip
                return self._send(hub.status if f"/{COMMIT}" in path else 404, content, with_body)
            name = path.removeprefix(files).partition("/")[2] if path.startswith(files) else ""
            if name not in hub.files:
                return self._send(404, b"{}", with_body)
            return self._send(200, hub.files[name], with_body)

        def _listing(self) -> list[dict]:
            return [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in hub.files.items()
            ]

        def _send(self, status: int, content: bytes, with_body: bool) -> None:
            content = content if status == 200 else b"{}"
            self.send_response(status)
            if status == 404 and not self.path.startswith(f"/api/models/{hub.repository}"):
                self.send_header("X-Error-Code", "RepoNotFound")
            elif status == 404:
                self.send_header("X-Error-Code", "RevisionNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield hub
        finally:
            server.shutdown()
