"""One of many processes makes a folder; the others wait for it, and for no dead one."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spavl.inference.shared_folder import make_once

FAST = {"beat_s": 0.05, "silent_s": 0.5, "look_s": 0.02}


def fill(folder: Path, content: str = "whole") -> None:
    (folder / "file").write_text(content)


def test_a_folder_is_made_once_and_found_afterwards(tmp_path: Path) -> None:
    final = tmp_path / "cache" / "folder"
    assert make_once(final, fill) is True
    assert make_once(final, lambda folder: pytest.fail("made again")) is False
    assert (final / "file").read_text() == "whole" and os.listdir(tmp_path / "cache") == ["folder"]


def test_of_many_one_makes_it_and_all_have_it(tmp_path: Path) -> None:
    made = []

    def slowly(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.3)
        fill(folder)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        is_ours = list(pool.map(lambda _: make_once(tmp_path / "folder", slowly, **FAST), range(8)))
    assert sorted(is_ours) == [False] * 7 + [True] and len(made) == 1
    assert os.listdir(tmp_path) == ["folder"]


def test_a_maker_that_takes_long_is_waited_for(tmp_path: Path) -> None:
    going_on = threading.Event()

    def long(folder: Path) -> None:
        going_on.set()
        time.sleep(4 * FAST["silent_s"])
        fill(folder, "the first")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(make_once, tmp_path / "folder", long, **FAST)
        going_on.wait()
        assert make_once(tmp_path / "folder", lambda folder: fill(folder, "the second"), **FAST) is False
        assert first.result() is True
    assert (tmp_path / "folder" / "file").read_text() == "the first"


def test_a_killed_maker_is_replaced_and_what_it_left_is_removed(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from spavl.inference.shared_folder import make_once
def fill(folder):
    (folder / "file").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
make_once(Path({str(tmp_path / "folder")!r}), fill)
"""
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(filter(None, sys.path))})
    assert os.listdir(tmp_path) == [".making-folder"]
    assert make_once(tmp_path / "folder", fill, **FAST) is True
    assert (tmp_path / "folder" / "file").read_text() == "whole" and os.listdir(tmp_path) == ["folder"]


def test_a_maker_whose_place_was_taken_cannot_spoil_the_folder(tmp_path: Path) -> None:
    started, taken = threading.Event(), threading.Event()

    def stopped_for_a_while(folder: Path) -> None:
        started.set()
        taken.wait()
        fill(folder, "too late")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(make_once, tmp_path / "folder", stopped_for_a_while, beat_s=60)
        started.wait()
        assert make_once(tmp_path / "folder", fill, **FAST) is True
        taken.set()
        assert slow.result() is False
    assert (tmp_path / "folder" / "file").read_text() == "whole" and os.listdir(tmp_path) == ["folder"]


def test_a_failure_leaves_nothing_and_the_next_one_makes_it(tmp_path: Path) -> None:
    def failing(folder: Path) -> None:
        fill(folder, "half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        make_once(tmp_path / "folder", failing)
    assert os.listdir(tmp_path) == []
    assert make_once(tmp_path / "folder", fill) is True
