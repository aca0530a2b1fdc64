"""Two runners never do the same unit at once, and a dead one never blocks it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

from spavl.artifacts import lease as leases
from spavl.artifacts.store import open_store
from spavl.errors import TryAgain


def test_a_second_runner_is_told_who_holds_the_work(store_url: str) -> None:
    store = open_store(store_url)
    with (
        leases.lease(store, "runs/r/responses/leases/bold-0000"),
        pytest.raises(TryAgain, match="another runner works on"),
    ):
        leases.acquire(store, "runs/r/responses/leases/bold-0000")


def test_after_release_the_next_one_gets_it(store_url: str) -> None:
    store = open_store(store_url)
    for _ in range(3):
        with leases.lease(store, "unit"):
            assert store.names("unit")
    assert store.names("unit") == []


def test_work_of_a_process_that_died_here_is_taken_over_at_once(tmp_path) -> None:
    url = f"file://{tmp_path}"
    code = f"import os, signal; from spavl.artifacts import lease, store; lease.acquire(store.open_store({url!r}), 'unit'); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code], check=False)
    store = open_store(url)
    assert store.names("unit") == ["1.json"]
    with leases.lease(store, "unit"):
        assert "2.json" in store.names("unit")


def elsewhere(unseen_s: float = 0.0) -> bytes:
    """What an owner on another host left `unseen_s` ago."""
    owner = {
        "host": "elsewhere",
        "boot": "x",
        "pid": 1,
        "started": "1",
        "renewed_at": time.time() - unseen_s,
    }
    return json.dumps(owner).encode()


def test_a_silent_owner_on_another_host_is_waited_out_and_loses_it_only_after_the_expiry(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(leases, "EXPIRY_S", 1.5)
    monkeypatch.setattr(leases, "WATCH_EVERY_S", 0.05)
    store = open_store(f"file://{tmp_path}")
    left_at = time.time()
    store.write("unit/1.json", elsewhere())
    held = leases.acquire(store, "unit")
    assert time.time() - left_at >= 1.5
    held.release()


def test_an_owner_on_another_host_that_was_silent_for_long_loses_it_at_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))
    store = open_store(f"file://{tmp_path}")
    store.write("unit/1.json", elsewhere(leases.EXPIRY_S + 1))
    leases.acquire(store, "unit").release()


def test_an_owner_on_another_host_keeps_it_with_one_sign_of_life(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(leases, "WATCH_EVERY_S", 0.05)
    store = open_store(f"file://{tmp_path}")
    store.write("unit/1.json", elsewhere(leases.EXPIRY_S - 30))
    renewal = threading.Timer(0.3, lambda: store.write("unit/1.json", elsewhere()))
    renewal.start()
    with pytest.raises(TryAgain, match="process 1 on elsewhere"):
        leases.acquire(store, "unit")
    renewal.join()
    assert store.names("unit") == ["1.json"]


def test_an_owner_that_was_overtaken_stops_before_its_next_write(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(leases, "RENEW_EVERY_S", 0.02)
    store = open_store(f"file://{tmp_path}")
    held = leases.acquire(store, "unit")
    held.check()
    store.write("unit/2.json", b"{}")
    deadline = time.monotonic() + 10
    while not held._is_lost.is_set() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(TryAgain, match="taken over"):
        held.check()
    held.release()
