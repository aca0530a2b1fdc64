"""SIGTERM as a wish: the step in hand is finished and saved before the process ends."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from spavl import ranks


@contextlib.contextmanager
def stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Within it, the function given tells whether SIGTERM has come. Outside the main thread no signal is caught.

    Among several ranks SIGTERM stays without effect afterwards: torchrun sends it as soon as one rank has ended, to those
    that still have something to tell, and kills after 30 s what is left.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def remember(number: int, frame: Any) -> None:
        asked.set()

    former = signal.signal(signal.SIGTERM, remember)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, former if ranks.num_ranks() == 1 else signal.SIG_IGN)
