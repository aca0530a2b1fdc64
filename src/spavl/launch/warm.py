"""A process that holds the heavy libraries, imported once, and forks itself for each command: `python -m spavl …` at once.

A night is some forty short processes, and importing Great Expectations or torch costs each of them seconds. The server (`warm_server.py`)
imports them once; `start` asks it for a child that runs the same argv, in the same environment and folder, in a session of
its own. It only saves time: a command that asks for anything else than what the server holds (another interpreter, changed
sources, another environment at import) is started as an ordinary process instead.

The server listens on a socket in a folder that only this user can enter, is single-threaded, and ends with the process that
holds its standard input open.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SOCKET = "SPAVL_WARM_SOCKET"  # environment variable that names a server's socket
READY_TIMEOUT_S = 120.0
# Read while a library is imported: a child with other values needs an import of its own.
IMPORT_TIME_PREFIXES = ("GX_", "HF_", "MKL_", "OMP_", "OPENBLAS_", "PYTHON", "TOKENIZERS_", "TORCH_", "TRANSFORMERS_", "CUDA_")  # fmt: skip
LENGTH_BYTES = 8
NUMBER_BYTES = 16  # a pid or an exit code on the socket, in decimal, padded with spaces


class WarmProcess:
    """A child of the server, with the part of `subprocess.Popen` that the launcher uses; standard error is in `stdout`."""

    def __init__(self, pid: int, connection: socket.socket, output: int) -> None:
        self.pid = pid
        self.stdout = os.fdopen(output, encoding="utf-8", errors="replace")
        self._connection = connection
        self._reading = threading.Lock()
        self._returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, minus the signal's number for a killed child, or None while it runs."""
        return self._status(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code once it has ended; raises subprocess.TimeoutExpired after `timeout` seconds."""
        found = self._status(timeout)
        if found is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("spavl", timeout)
        return found

    def _status(self, timeout_s: float | None) -> int | None:
        if self._returncode is not None or not select.select([self._connection], [], [], timeout_s)[0]:
            return self._returncode
        with self._reading:  # the launcher's timer waits in a thread of its own
            if self._returncode is not None:
                return self._returncode
            told = _receive_number(self._connection)
            # nothing told: the server is gone, and with it all knowledge of the child, so the child must end too
            self._returncode = -signal.SIGKILL if told is None else told
            if told is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
        return self._returncode


def start(argv: Sequence[str], environment: Mapping[str, str]) -> WarmProcess | None:
    """A child of the server that SPAVL_WARM_SOCKET names, or None where an ordinary process must be started."""
    path = environment.get(SOCKET)
    if not path or list(argv[:2]) != [sys.executable, "-m"]:
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
        reading, writing = os.pipe()
    except OSError:
        connection.close()
        return None  # it has ended, or is still importing
    request = json.dumps({
        "module": argv[2], "arguments": list(argv[3:]), "environment": dict(environment), "folder": os.getcwd(), "held": held(environment),
    }).encode()  # fmt: skip
    try:
        socket.send_fds(connection, [len(request).to_bytes(LENGTH_BYTES, "big")], [writing])
        connection.sendall(request)
        pid = _receive_number(connection)
    except OSError:
        pid = None
    finally:
        os.close(writing)
    if pid is None:
        os.close(reading)
        connection.close()
        return None
    return WarmProcess(pid, connection, reading)


def child_variables(num_threads: int = 1) -> dict[str, str]:
    """What every command of the launcher finds in its environment."""
    return {"OMP_NUM_THREADS": str(num_threads), "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}


def held(environment: Mapping[str, str]) -> str:
    """Hash of what a server's imports depend on: interpreter, spavl's sources, and the variables read while importing."""
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    stamps = [(str(path), (status := path.stat()).st_mtime_ns, status.st_size) for path in sources]
    at_import = sorted((k, v) for k, v in environment.items() if k.startswith(IMPORT_TIME_PREFIXES))
    return hashlib.sha256(json.dumps([sys.executable, stamps, at_import]).encode()).hexdigest()


@contextlib.contextmanager
def warm_server() -> Iterator[dict[str, str]]:
    """A server for as long as the context lasts; gives the variables that make `start` use it. It may not be ready yet."""
    folder = tempfile.mkdtemp(
        prefix="spavl-warm-"
    )  # mode 0700, and short: a socket's path has at most 107 bytes
    variables = {SOCKET: f"{folder}/socket"}
    server = serve_in_background(variables[SOCKET], {**os.environ, **child_variables()})
    try:
        yield variables
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def serve_in_background(
    path: str, environment: Mapping[str, str], modules: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """A server process for the socket `path` that holds `modules`, or all that a night needs; it ends when this process does."""
    command = [sys.executable, "-m", "spavl.launch.warm_server", path, *modules]
    return subprocess.Popen(command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def wait_until_ready(path: str, timeout_s: float = READY_TIMEOUT_S) -> bool:
    """Whether the server at `path` came to listen in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(path)
            return True
        time.sleep(0.1)
    return False


def _receive_number(connection: socket.socket) -> int | None:
    told = connection.recv(NUMBER_BYTES, socket.MSG_WAITALL)
    return int(told) if len(told) == NUMBER_BYTES else None
