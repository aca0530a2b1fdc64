"""A lease on one unit of work, so that a second runner on the same run is told instead of doing the work twice.

The owner keeps `<folder>/<n>.json` fresh; whoever finds it stale creates n+1, once or not at all. On the owner's own
host a dead process is recognised at once; an owner elsewhere is watched until it gives a sign of life, or none for EXPIRY_S.
Leases save work; what keeps results right is that parts are keyed by id and records are created once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spavl.artifacts.store import Store
from spavl.errors import SpavlError, TryAgain

log = logging.getLogger("spavl")

RENEW_EVERY_S = 15.0
WATCH_EVERY_S = 1.0
EXPIRY_S = 90.0  # six renewals missed: longer than any pause of a live process we have seen


class Lease:
    """Held from `acquire` on; `check` raises TryAgain once somebody else has taken over."""

    def __init__(self, store: Store, folder: str, number: int) -> None:
        self._store = store
        self._folder = folder
        self._number = number
        self._is_lost = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease {folder}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise TryAgain if this lease was taken over; call before each write that others would see."""
        if self._is_lost.is_set():
            raise TryAgain(
                f"another runner has taken over {self._folder}.", next_step="This one stops; nothing is lost."
            )

    def release(self) -> None:
        """Stop renewing and remove the lease; a store that is away leaves it to expire."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(SpavlError, OSError):
            self._store.remove_files([f"{self._folder}/{self._number}.json"])

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_EVERY_S):
            try:
                if max(_numbers(self._store, self._folder), default=self._number) > self._number:
                    self._is_lost.set()
                    return
                self._store.write(f"{self._folder}/{self._number}.json", _owner())
            except (SpavlError, OSError):
                continue  # a store that is away for a moment; if it stays away, the work itself fails with a clear error


@contextlib.contextmanager
def lease(store: Store, folder: str) -> Iterator[Lease]:
    """Hold the lease of `folder`; raises TryAgain naming the owner where another live runner has it."""
    held = acquire(store, folder)
    try:
        yield held
    finally:
        held.release()


def acquire(store: Store, folder: str) -> Lease:
    """Take the lease or raise TryAgain; an abandoned one is taken over, after at most EXPIRY_S."""
    numbers = _numbers(store, folder)
    if numbers and (owner := _live_owner(store, f"{folder}/{max(numbers)}.json")):
        raise TryAgain(
            f"another runner works on {folder}: process {owner['pid']} on {owner['host']}, last seen {_age_s(owner):.0f} s ago.",
            next_step=f"Wait for it, or stop it; after {EXPIRY_S:.0f} s without a sign of life its work is taken over.",
        )
    number = max(numbers, default=0) + 1
    if not store.create(f"{folder}/{number}.json", _owner()):
        raise TryAgain(f"another runner has just begun to work on {folder}.", next_step="Wait for it.")
    return Lease(store, folder, number)


def is_held(store: Store, folder: str) -> bool:
    """Whether a live runner holds the lease of `folder`; one elsewhere is believed for EXPIRY_S after its last sign of life."""
    numbers = _numbers(store, folder)
    owner = _read(store, f"{folder}/{max(numbers)}.json") if numbers else None
    return owner is not None and _is_alive(owner)


def _live_owner(store: Store, path: str) -> dict[str, Any] | None:
    """The owner, if it lives. One elsewhere that says nothing is waited out here: a pod that takes the place of an evicted one
    starts within seconds, and ending each time with "try again" would use up its tries.
    """
    first = owner = _read(store, path)
    while owner and first and _is_alive(owner):
        if _is_here(owner) or owner["renewed_at"] != first["renewed_at"]:
            return owner
        if owner is first:
            log.info("waiting to see whether process %s on %s still works here", owner["pid"], owner["host"])
        time.sleep(WATCH_EVERY_S)
        owner = _read(store, path)
    return None


def _numbers(store: Store, folder: str) -> list[int]:
    return [
        int(name.removesuffix(".json"))
        for name in store.names(folder)
        if name.removesuffix(".json").isdigit()
    ]


def _read(store: Store, path: str) -> dict[str, Any] | None:
    try:
        return json.loads(store.read(path))
    except FileNotFoundError:
        return None  # released between listing and reading


def _owner() -> bytes:
    return json.dumps({
        "host": socket.gethostname(), "boot": _boot_id(), "pid": os.getpid(),
        "started": _process_start(os.getpid()), "renewed_at": time.time(), "thread": threading.main_thread().ident,
    }).encode()  # fmt: skip


def _is_alive(owner: dict[str, Any]) -> bool:
    if _is_here(owner):
        return owner["started"] is not None and _process_start(owner["pid"]) == owner["started"]
    return _age_s(owner) < EXPIRY_S


def _is_here(owner: dict[str, Any]) -> bool:
    return owner["host"] == socket.gethostname() and owner["boot"] == _boot_id()


def _age_s(owner: dict[str, Any]) -> float:
    return max(0.0, time.time() - owner["renewed_at"])


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _process_start(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot (field 22 of /proc/<pid>/stat), None where it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
