"""A real HTTP server in a thread that speaks chat completions and misbehaves as each request was told to.

A prompt opens with its request's id; `script[id]` lists what its attempts meet, in order, and then it behaves.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG_S = 5.0


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.released = threading.Event()  # lets hanging requests go
        self.forget()

    def forget(self) -> None:
        self.script: dict[str, list[Any]] = {}
        self.delay_s = 0.0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.arrivals: dict[str, list[float]] = {}
        self.num_attempts: Counter[str] = Counter()
        self.in_flight = self.max_in_flight = 0

    def let_go(self) -> None:
        """End the requests that hang now."""
        self.released.set()
        self.released = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the game."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: Any) -> None:
        return None

    def do_GET(self) -> None:
        served = {"object": "list", "data": [{"id": "judge-7b", "object": "model"}]}
        self.reply(json.dumps(served).encode() if self.path == "/v1/models" else b"{}", 200, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.in_flight += 1
            self.server.max_in_flight = max(self.server.max_in_flight, self.server.in_flight)
        try:
            time.sleep(self.server.delay_s)
            self.behave(self.next_behaviour(body))
        finally:
            with self.server.lock:
                self.server.in_flight -= 1

    def next_behaviour(self, body: dict[str, Any]) -> Any:
        content = body["messages"][-1]["content"]
        self.prompt = content if isinstance(content, str) else content[-1]["text"]
        request_id = self.prompt.split()[0]
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.server.arrivals.setdefault(request_id, []).append(time.monotonic())
            place = self.server.num_attempts[request_id]
            self.server.num_attempts[request_id] += 1
        script = self.server.script.get(request_id, [])
        return script[place] if place < len(script) else "ok"

    def behave(self, behaviour: Any) -> None:
        if isinstance(behaviour, int):
            behaviour = (behaviour, {})
        if isinstance(behaviour, tuple):
            status, headers = behaviour
            self.reply(json.dumps({"error": {"message": f"about {self.prompt}"}}).encode(), status, headers)
        elif behaviour == "hang":
            self.server.released.wait(HANG_S)
            self.close_connection = True
        elif behaviour == "nothing":
            self.close_connection = True
        elif behaviour == "half":
            whole = completion(f"echo {self.prompt}")
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[: len(whole) // 2])
            self.close_connection = True
        else:
            self.reply(REPLIES[behaviour] if behaviour in REPLIES else completion(f"echo {self.prompt}"))

    def reply(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def completion(text: str | None, **message: Any) -> bytes:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text, **message},
    }
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


REPLIES = {
    "garbage": b"<html>a proxy's page</html>",
    "empty": b"",
    "list": b"[]",
    "no_choices": b'{"choices": []}',
    "null_choices": b'{"choices": null}',
    "no_text": completion(None),
    "refusal": completion(None, refusal="sorry"),
    "half_a_character": completion("x").replace(b'"x"', b'"\\ud800"'),
}


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
