"""The runs of characters that texts are made of, as numbers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SHINGLE_CHARS = 5
LOW_BITS = 32  # of a key; what stands above them is a text or a pair
_NUM_COUNTERS = 1 << 18
_CODE_BITS = 12  # of a character below 4096; five of them are one number


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of some texts, text by text."""

    codes: np.ndarray  # uint64: all distinct ones, sorted
    place: np.ndarray  # int32: of each run in `codes`
    number: np.ndarray  # int64 [texts]: how many runs each text has

    @classmethod
    def of(cls, texts: Sequence[str]) -> Runs:
        """A text shorter than SHINGLE_CHARS is one run."""
        import numpy as np

        padded = [text.ljust(SHINGLE_CHARS, "\0") for text in texts]
        points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
        length = np.array([len(text) for text in padded], np.int64)
        number = length - (SHINGLE_CHARS - 1)
        codes = _codes(points.astype(np.uint64))[ranges(np.cumsum(length) - length, number)]
        codes, place = np.unique(codes, return_inverse=True)
        return cls(codes, place.astype(np.int32), number)

    def ranked(self, ranks_of: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(text << LOW_BITS | rank of each of its distinct runs, int64, sorted; int64 [texts]: how many it has)."""
        import numpy as np

        owner = np.repeat(np.arange(len(self.number)) << LOW_BITS, self.number)
        keys = distinct(owner | ranks_of(self.codes)[self.place])
        return keys, np.bincount(keys >> LOW_BITS, minlength=len(self.number))


def by_frequency(pieces: Sequence[Runs]) -> tuple[np.ndarray, np.ndarray]:
    """(all codes, sorted; the rank of each: 0 is the one that is there least often)."""
    import numpy as np

    codes, frequency = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for piece in pieces:
        number = np.bincount(piece.place, minlength=len(piece.codes))
        codes, place = np.unique(np.concatenate([codes, piece.codes]), return_inverse=True)
        weights = np.concatenate([frequency, number])
        frequency = np.bincount(place, weights=weights, minlength=len(codes)).astype(np.int64)
    rank = np.empty(len(codes), np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(codes))
    return codes, rank


def low(keys: np.ndarray) -> np.ndarray:
    return keys & ((1 << LOW_BITS) - 1)


def distinct(values: np.ndarray) -> np.ndarray:
    """Of `values` int64, sorted."""
    import numpy as np

    values = np.sort(values)
    is_first = np.ones(len(values), bool)
    is_first[1:] = values[1:] != values[:-1]
    return values[is_first]


def frequent(values: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """(the distinct ones of `values` int64, none below 0, that are there `least` times or more; how often each is there)."""
    import numpy as np

    if least > 1:  # most values share no counter with another: what is left is little to sort
        counter = values & (_NUM_COUNTERS - 1)
        values = values[np.bincount(counter, minlength=_NUM_COUNTERS)[counter] >= least]
    values = np.sort(values)
    last = max(0, len(values) - least + 1)
    found = np.unique(values[:last][values[:last] == values[least - 1 :]])
    times = np.searchsorted(values, found, "right") - np.searchsorted(values, found)
    return found, times


def ranges(first: np.ndarray, number: np.ndarray) -> np.ndarray:
    """first[0], first[0] + 1, … (number[0] of them), first[1], …"""
    import numpy as np

    end = np.cumsum(number)
    return np.repeat(first - end + number, number) + np.arange(end[-1] if len(end) else 0)


def _codes(points: np.ndarray) -> np.ndarray:
    """uint64 [N - 4]: each run of `points` uint64 [N] as a number: itself if its characters are below 4096, else a 64-bit hash."""
    import numpy as np

    if len(points) < SHINGLE_CHARS:
        return np.zeros(0, np.uint64)
    pair = (points[:-1] << np.uint64(_CODE_BITS)) | points[1:]
    four = (pair[:-2] << np.uint64(2 * _CODE_BITS)) | pair[2:]
    packed = (four[:-1] << np.uint64(_CODE_BITS)) | points[SHINGLE_CHARS - 1 :]
    if points.max() < 1 << _CODE_BITS:
        return packed
    return np.where(_highest(points) >= 1 << _CODE_BITS, _hashed(points) | np.uint64(1 << 63), packed)


def _highest(points: np.ndarray) -> np.ndarray:
    import numpy as np

    windows = np.lib.stride_tricks.sliding_window_view(points, SHINGLE_CHARS)
    return windows.max(axis=1)


def _hashed(points: np.ndarray) -> np.ndarray:
    import numpy as np

    last = len(points) - SHINGLE_CHARS + 1
    mixed = np.zeros(last, np.uint64)
    for place in range(SHINGLE_CHARS):
        mixed = (mixed ^ points[place : place + last]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed
