"""The warm launcher's server: imports the libraries once, then forks a child for each command. `warm.py` is its client.

Single-threaded, so that forking is safe; it ends when its standard input closes.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from spavl.errors import EXIT_BUG
from spavl.launch.warm import LENGTH_BYTES, NUMBER_BYTES, held

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# What the stages import where they need it, largest first; what is not installed is left out.
PRELOADED = (
    "pyarrow.parquet", "pydantic", "fsspec.implementations.local", "scipy.stats", "PIL.Image", "imagehash", "jinja2",
    "pandas", "great_expectations.expectations", "matplotlib.figure", "torch", "safetensors.torch",
    "transformers.models.auto.processing_auto", "transformers.models.llava.modeling_llava",
    "transformers.models.llava.processing_llava", "transformers.models.clip.modeling_clip",
    "transformers.models.clip.image_processing_pil_clip", "transformers.models.llama.modeling_llama",
    "transformers.generation.utils", "transformers.trainer", "datasets", "peft", "inspect_ai", "inspect_ai.model._openai_responses",
    "inspect_ai.agent._acp.server",
    "spavl.run", "duckdb", "spavl.commands.stepping", "spavl.report.page", "spavl.validation.checking",
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Import everything, then serve until standard input closes; a forked child runs its command and never returns."""
    environment = dict(os.environ)
    for name in argv[1:] or PRELOADED:
        # a library that is missing or broken is the command's own matter: it says so where it needs it
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if not _can_fork():
        print("spavl: a library has started a thread, so nothing can be forked here", file=sys.stderr)
        return 1
    gc.freeze()  # what is imported is never garbage: children need not look through it
    request = _serve(argv[0], held(environment))
    if request is not None:
        _run_and_exit(request)
    return 0


def _run_and_exit(request: Mapping[str, Any]) -> NoReturn:
    """Run the module as `python -m` does. Taking the interpreter down with all of its libraries would last seconds."""
    sys.argv = [request["module"], *request["arguments"]]
    exit_code = EXIT_BUG
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        exit_code = 0
    except SystemExit as asked:
        exit_code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(exit_code)


def _can_fork() -> bool:
    """Whether no library has started a thread: its locks would stay held in a child. jemalloc's (pyarrow) minds forks itself."""
    try:
        threads = [
            Path(f"/proc/self/task/{number}/comm").read_text().strip()
            for number in os.listdir("/proc/self/task")
        ]
    except FileNotFoundError:  # no Linux
        return threading.active_count() == 1
    return len(threads) - threads.count("jemalloc_bg_thd") == 1


def _serve(path: str, holds: str) -> dict[str, Any] | None:
    """Fork a child per request until standard input closes; returns in each child with its request, and at the end None."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        while True:
            ready, _, _ = select.select([listening, woken, sys.stdin.fileno()], [], [])
            if woken in ready:
                os.read(woken, 4096)
                _tell_ended(children)
            if listening in ready:
                connection, _ = listening.accept()
                request = _accept(connection, holds, children)
                if request is not None:
                    listening.close()
                    return request
            if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1):
                return None


def _accept(
    connection: socket.socket, holds: str, children: dict[int, socket.socket]
) -> dict[str, Any] | None:
    """Answer one connection; returns in the forked child, with its request."""
    connection.settimeout(5)
    try:
        head, descriptors, _, _ = socket.recv_fds(connection, LENGTH_BYTES, 1)
        request = (
            json.loads(_read(connection, int.from_bytes(head, "big"))) if len(head) == LENGTH_BYTES else {}
        )
    except (OSError, ValueError):
        head, descriptors, request = b"", [], {}
    if request.get("held") != holds or not descriptors:
        connection.close()  # no answer: the client starts a process of its own
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        for other in children.values():
            other.close()
        connection.close()
        _become(request, descriptors[0], server)
        return request
    os.close(descriptors[0])
    connection.settimeout(None)
    _send_number(connection, pid)
    children[pid] = connection
    return None


def _become(request: Mapping[str, Any], output: int, server: int) -> None:
    """What `subprocess.Popen` would have made of this child: its own session, output, folder, variables and signals."""
    os.setsid()
    _die_with_the_server(server)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[0] = request["folder"]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)


def _die_with_the_server(server: int) -> None:
    """Without its server nobody would learn how the child ended (Linux; elsewhere the client's end of the pipe stays open)."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)  # it died in between


def _send_number(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # a client that is gone needs no answer
        connection.sendall(f"{number:>{NUMBER_BYTES}}".encode())


def _read(connection: socket.socket, length: int) -> bytes:
    parts: list[bytes] = []
    while length > 0 and (part := connection.recv(min(length, 65536))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _tell_ended(children: dict[int, socket.socket]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        connection = children.pop(pid, None)
        if connection is not None:
            _send_number(connection, os.waitstatus_to_exitcode(status))
            connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
