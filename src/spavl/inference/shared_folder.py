"""A folder that many processes want and one of them makes: on a disk that they share, whole or not at all.

Who makes `.making-<name>` first fills a folder of its own in there and shows it by one rename; the others wait for as long as
they see it alive. A dead maker's place is taken by moving it away, so that a maker which was only slow finds its folder gone
and waits too, instead of writing into another's. Nobody compares clocks: a waiter sees whether a beat comes in its own time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

BEAT_S = 15.0
SILENT_S = 180.0  # beats may be seen late: network file systems keep a folder's times for up to a minute
LOOK_S = 1.0

log = logging.getLogger("spavl")


def make_once(
    final: Path,
    fill: Callable[[Path], None],
    *,
    beat_s: float = BEAT_S,
    silent_s: float = SILENT_S,
    look_s: float = LOOK_S,
) -> bool:
    """Make `final` exist, by `fill` of an empty folder; False where another has made it.

    What `fill` raises is raised, and leaves nothing.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    place = final.parent / f".making-{final.name}"
    while not final.is_dir():
        try:
            place.mkdir()
        except FileExistsError:
            _wait_for_another(place, final, silent_s, look_s)
            continue
        if _make(place, final, fill, beat_s):
            return True
    return False


def _make(place: Path, final: Path, fill: Callable[[Path], None], beat_s: float) -> bool:
    """Whether we made it; False also where our place was taken meanwhile, whatever that made `fill` raise."""
    mine = place / uuid.uuid4().hex
    try:
        mine.mkdir(parents=True)  # an empty place may be removed by a maker that lost it
        with _beating(mine, beat_s):
            if final.is_dir():
                return False  # it was finished between our look and our claim
            fill(mine)
            _to_disk(mine)
        os.rename(mine, final)
        return True
    except Exception:
        if mine.is_dir() and not final.is_dir():
            raise
        return False
    finally:
        shutil.rmtree(mine, ignore_errors=True)
        with contextlib.suppress(OSError):  # another's by now
            place.rmdir()


def _wait_for_another(place: Path, final: Path, silent_s: float, look_s: float) -> None:
    """Until it has ended, or been silent for `silent_s`: then its place is moved away."""
    log.info("%s: another process is making it; waiting", final.name)
    beat, heard = _beat(place), time.monotonic()
    while place.is_dir() and not final.is_dir():
        time.sleep(look_s)
        if (now := _beat(place)) != beat:
            beat, heard = now, time.monotonic()
        elif time.monotonic() - heard > silent_s:
            log.info("%s: the process that was making it is silent; making it here", final.name)
            _move_away(place)
            return


def _move_away(place: Path) -> None:
    gone = place.with_name(f".gone-{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):  # another waiter was first
        os.rename(place, gone)
    shutil.rmtree(gone, ignore_errors=True)


def _beat(place: Path) -> list[tuple[str, int]]:
    """What changes while a maker lives."""
    with contextlib.suppress(FileNotFoundError):
        return sorted((folder.name, folder.stat().st_mtime_ns) for folder in place.iterdir())
    return []


@contextlib.contextmanager
def _beating(folder: Path, beat_s: float) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(beat_s):
            with contextlib.suppress(OSError):
                os.utime(folder)

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _to_disk(folder: Path) -> None:
    """A rename may reach the disk before the files it shows."""
    for file in (file for file in folder.rglob("*") if file.is_file()):
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
