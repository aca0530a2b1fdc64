"""Which texts have nearly the same runs of characters: exact, on arrays, one side in an index and the other in a stream. Pure.

Two sets that are alike share MIN_COMMON of the rarest members of each (prefix filter: Chaudhuri, Ganti and Kaushik 2006;
with more than one: Wang, Li and Feng 2012), so all pairs are found, and only texts that share rare runs are compared. One word
gives several runs, so one run in common would be too little to tell. How rare a run is, is counted in the index; a run that
the index does not have is the rarest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SHINGLE_CHARS = 5
MIN_JACCARD = 0.6
MIN_COMMON = 8
_CODE_BITS = 12  # of a character below 4096; five of them are one number
_MEETINGS_AT_ONCE = 1_000_000
_LOW_BITS = 32  # of a key; what stands above them is a text or a pair
_TEXTS_AT_ONCE = 4096


class TextIndex:
    """Distinct texts, by their runs of SHINGLE_CHARS characters."""

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np

        pieces = [_Runs.of(texts[n : n + _TEXTS_AT_ONCE]) for n in range(0, len(texts), _TEXTS_AT_ONCE)]
        self._known, self._rank = _by_frequency(pieces)
        members, sizes = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        while pieces:
            keys, size = pieces.pop(0).ranked(self._ranks_of)
            members.append(_low(keys).astype(np.int32))
            sizes.append(size)
        # ranks of each text's runs, sorted: most of an index's memory
        self._members, self._size = np.concatenate(members), np.concatenate(sizes)
        self._first = np.cumsum(self._size) - self._size
        self._posting, self._posted = self._postings()

    def _ranks_of(self, codes: np.ndarray) -> np.ndarray:
        """int64 [N] of sorted codes; those that the index does not have come after all others, each with a number of its own."""
        import numpy as np

        place = np.minimum(np.searchsorted(self._known, codes), len(self._known) - 1)
        is_known = self._known[place] == codes
        return np.where(is_known, self._rank[place], len(self._known) + np.arange(len(codes)))

    def _postings(self) -> tuple[np.ndarray, np.ndarray]:
        """(first place of each run, texts that have it among their rarest runs, run by run)."""
        import numpy as np

        num_rare = _prefix(self._size)
        rank = self._members[_ranges(self._first, num_rare)].astype(np.int64)
        posted = np.sort((rank << _LOW_BITS) | np.repeat(np.arange(len(num_rare)), num_rare))
        number = np.bincount(rank, minlength=len(self._known))
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(number)]), _low(posted).astype(np.int32)

    def alike(self, texts: Sequence[str]) -> Iterator[tuple[int, int]]:
        """(place in `texts`, place in the index) of all pairs that say nearly the same; the same text is one, too."""
        import numpy as np

        if not len(texts) or not len(self._size):
            return
        keys, size = _Runs.of(texts).ranked(self._ranks_of)
        rank = _low(keys)
        num_known = np.bincount((keys >> _LOW_BITS)[rank < len(self._known)], minlength=len(texts))
        num_rare = np.maximum(_prefix(size) - (size - num_known), 0)
        first = np.cumsum(size) - size
        for left, right in self._candidates(rank, first, num_rare, _min_common(size)):
            is_alike = self._is_alike(left, right, size, rank, first)
            yield from zip(left[is_alike].tolist(), right[is_alike].tolist(), strict=True)

    def _candidates(
        self, rank: np.ndarray, first: np.ndarray, num_rare: np.ndarray, min_common: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of (text, text of the index), int64 [B] each, that share enough rare runs."""
        import numpy as np

        owner = np.repeat(np.arange(len(first)), num_rare)
        rank = rank[_ranges(first, num_rare)]
        number = self._posting[rank + 1] - self._posting[rank]
        before = np.cumsum(number) - number
        of_text = np.searchsorted(owner, owner)  # all runs of one text are in one block
        for start, end in _stretches(before[of_text] // _MEETINGS_AT_ONCE):
            left = np.repeat((owner[start:end] - owner[start]) * len(self._size), number[start:end])
            pairs = left + self._posted[_ranges(self._posting[rank[start:end]], number[start:end])]
            pairs, times = _counted(pairs)
            left, right = np.divmod(pairs, len(self._size))
            left += owner[start]
            is_enough = times >= np.minimum(min_common[left], _min_common(self._size[right]))
            yield left[is_enough], right[is_enough]

    def _is_alike(
        self, left: np.ndarray, right: np.ndarray, size: np.ndarray, rank: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        """bool [B]: whether the runs of text `left` and of the index's text `right` have the Jaccard index."""
        import numpy as np

        number, of_right = size[left], self._size[right]
        is_alike = np.minimum(number, of_right) >= MIN_JACCARD * np.maximum(number, of_right)
        for some in _pieces(np.nonzero(is_alike)[0], number + of_right):
            pair = np.arange(len(some)) << _LOW_BITS
            one = np.repeat(pair, number[some]) | rank[_ranges(first[left[some]], number[some])]
            other = np.repeat(pair, of_right[some])
            other |= self._members[_ranges(self._first[right[some]], of_right[some])]
            both = np.sort(np.concatenate([one, other]))
            of_pair = both[1:][both[1:] == both[:-1]] >> _LOW_BITS
            common = np.bincount(of_pair, minlength=len(some))
            is_alike[some] = common >= MIN_JACCARD * (number[some] + of_right[some] - common)
        return is_alike


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of some texts, text by text."""

    codes: np.ndarray  # uint64: all distinct ones, sorted
    place: np.ndarray  # int32: of each run in `codes`
    number: np.ndarray  # int64 [texts]: how many runs each text has

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Runs:
        """A text shorter than SHINGLE_CHARS is one run."""
        import numpy as np

        padded = [text.ljust(SHINGLE_CHARS, "\0") for text in texts]
        points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
        length = np.array([len(text) for text in padded], np.int64)
        number = length - (SHINGLE_CHARS - 1)
        codes = _codes(points.astype(np.uint64))[_ranges(np.cumsum(length) - length, number)]
        codes, place = np.unique(codes, return_inverse=True)
        return cls(codes, place.astype(np.int32), number)

    def ranked(self, ranks_of: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(text << _LOW_BITS | rank of each of its distinct runs, int64, sorted; int64 [texts]: how many it has)."""
        import numpy as np

        owner = np.repeat(np.arange(len(self.number)) << _LOW_BITS, self.number)
        keys, _ = _counted(owner | ranks_of(self.codes)[self.place])
        return keys, np.bincount(keys >> _LOW_BITS, minlength=len(self.number))


def _by_frequency(pieces: Sequence[_Runs]) -> tuple[np.ndarray, np.ndarray]:
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


def _low(keys: np.ndarray) -> np.ndarray:
    return keys & ((1 << _LOW_BITS) - 1)


def _counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values int64, none below 0, sorted; how often each is there)."""
    import numpy as np

    if not len(values):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if values.max() < 1 << 31:
        values = values.astype(np.int32)  # sorted in half the time
    values = np.sort(values)
    first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return values[first].astype(np.int64), np.diff(first, append=len(values))


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


def _min_common(size: np.ndarray) -> np.ndarray:
    """How many rare members an alike set shares at least: fewer than MIN_COMMON only if all that it must share are fewer."""
    import numpy as np

    return np.minimum(MIN_COMMON, np.ceil(MIN_JACCARD * size).astype(np.int64))


def _prefix(size: np.ndarray) -> np.ndarray:
    """Among how many of a set's rarest members an alike set has those."""
    import numpy as np

    return size - np.ceil(MIN_JACCARD * size).astype(np.int64) + _min_common(size)


def _ranges(first: np.ndarray, number: np.ndarray) -> np.ndarray:
    """first[0], first[0] + 1, … (number[0] of them), first[1], …"""
    import numpy as np

    within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    return np.repeat(first, number) + within


def _stretches(block: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch of equal values."""
    import numpy as np

    if len(block):
        edges = [0, *(np.nonzero(np.diff(block))[0] + 1).tolist(), len(block)]
        yield from itertools.pairwise(edges)


def _pieces(places: np.ndarray, cost: np.ndarray) -> Iterator[np.ndarray]:
    """`places` in pieces that cost _MEETINGS_AT_ONCE each."""
    import numpy as np

    block = np.cumsum(cost[places]) // _MEETINGS_AT_ONCE
    for start, end in _stretches(block):
        yield places[start:end]
