"""Reads small ranges of packs through larger windows, so that many blobs cost one request.

A window begins at the blob that was asked for. How far it reaches adapts: it doubles if most of the last window was used,
and halves if it was not, so blobs asked for in the order of a pack cost few requests, and blobs asked for in no order cost
few bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from spavl.artifacts.packs import Place

CACHE_BYTES = 64 * 2**20
FIRST_BYTES = 2**20
MOST_BYTES = 8 * 2**20
LEAST_BYTES = 2**16
_WORTH_IT = 4  # a window was worth its bytes if at least a quarter of them was used


@dataclass(slots=True)
class _Window:
    start: int
    content: bytes
    used_until: int  # offset in the pack
    used_bytes: int = 0

    def holds(self, place: Place) -> bool:
        return self.start <= place.offset and place.offset + place.num_bytes <= self.start + len(self.content)

    def take(self, place: Place) -> bytes:
        if place.offset >= self.used_until:  # the same blob again counts once
            self.used_until = place.offset + place.num_bytes
            self.used_bytes += place.num_bytes
        start = place.offset - self.start
        return self.content[start : start + place.num_bytes]


class ReadingAhead:
    """One window for each pack that is read, the longest unused one given up when they have more than CACHE_BYTES.

    `read_range(pack, offset, num_bytes)` gives the bytes, fewer at the end of the pack.
    """

    def __init__(self, read_range: Callable[[str, int, int], bytes]) -> None:
        self._read_range = read_range
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._num_bytes = 0
        self._ahead = FIRST_BYTES

    def read(self, place: Place, num_packs: int) -> bytes:
        """The bytes at a place; `num_packs` is the number of packs that may be read in turns."""
        window = self._windows.get(place.pack)
        if window is None or not window.holds(place):
            window = self._fetch(place, max(LEAST_BYTES, CACHE_BYTES // max(1, num_packs)))
        self._windows.move_to_end(place.pack)
        return window.take(place)

    def forget(self, pack: str) -> None:
        """The pack is gone."""
        if (window := self._windows.pop(pack, None)) is not None:
            self._num_bytes -= len(window.content)

    def _fetch(self, place: Place, most: int) -> _Window:
        self._give_up(place.pack)
        num_bytes = max(place.num_bytes, min(self._ahead, most))
        content = self._read_range(place.pack, place.offset, num_bytes)
        while self._windows and self._num_bytes + len(content) > CACHE_BYTES:
            self._give_up(next(iter(self._windows)))
        window = self._windows[place.pack] = _Window(place.offset, content, place.offset)
        self._num_bytes += len(content)
        return window

    def _give_up(self, pack: str) -> None:
        window = self._windows.get(pack)
        if window is None:
            return
        is_worth_it = window.used_bytes * _WORTH_IT >= len(window.content)
        self._ahead = min(MOST_BYTES, self._ahead * 2) if is_worth_it else max(LEAST_BYTES, self._ahead // 2)
        self.forget(pack)
