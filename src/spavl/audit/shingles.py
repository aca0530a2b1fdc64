"""Which texts have nearly the same runs of characters: exact, on arrays, one side in an index and the other in a stream. Pure.

Two sets that are alike share MIN_COMMON of the rarest members of each (prefix filter: Chaudhuri, Ganti and Kaushik 2006;
with more than one: Wang, Li and Feng 2012), so all pairs are found, and only texts that share rare runs are compared. One word
gives several runs, so one run in common would be too little to tell. How rare a run is, is counted in the index; a run that
the index does not have is the rarest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SHINGLE_CHARS = 5
MIN_JACCARD = 0.6
MIN_COMMON = 8
_CODE_BITS = 12  # of a character below 4096; five of them are one number
_MEETINGS_AT_ONCE = 1_000_000


class TextIndex:
    """Distinct texts, by their runs of SHINGLE_CHARS characters."""

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np

        owner, codes = _runs(texts)
        self._known, members, frequency = np.unique(codes, return_inverse=True, return_counts=True)
        self._rank = np.empty(len(self._known), np.int64)  # 0: the rarest
        self._rank[np.argsort(frequency, kind="stable")] = np.arange(len(self._known))
        self._size = np.bincount(owner, minlength=len(texts))
        # sorted by text, then by rank
        self._members = np.sort(owner * len(self._known) + self._rank[members])
        self._make_postings()

    def _make_postings(self) -> None:
        """The texts that have a run among their rarest ones, run by run."""
        import numpy as np

        owner, rank = np.divmod(self._members, max(1, len(self._known)))
        is_rare = _place_in_text(owner, self._size) < _prefix(self._size)[owner]
        order = np.argsort(rank[is_rare], kind="stable")
        self._posted = owner[is_rare][order]
        self._posting = np.searchsorted(rank[is_rare][order], np.arange(len(self._known) + 1))

    def alike(self, texts: Sequence[str]) -> Iterator[tuple[int, int]]:
        """(place in `texts`, place in the index) of all pairs that say nearly the same; the same text is one, too."""
        import numpy as np

        if not len(texts) or not len(self._size):
            return
        owner, codes = _runs(texts)
        size = np.bincount(owner, minlength=len(texts))
        place = np.minimum(np.searchsorted(self._known, codes), len(self._known) - 1)
        is_known = self._known[place] == codes
        owner, rank = owner[is_known], self._rank[place[is_known]]
        order = np.lexsort((rank, owner))
        owner, rank = owner[order], rank[order]
        num_known = np.bincount(owner, minlength=len(texts))
        num_rare = _prefix(size) - (size - num_known)
        for left, right in self._candidates(owner, rank, num_known, num_rare, _min_common(size)):
            is_alike = self._is_alike(left, right, size, num_known, rank)
            yield from zip(left[is_alike].tolist(), right[is_alike].tolist(), strict=True)

    def _candidates(
        self,
        owner: np.ndarray,
        rank: np.ndarray,
        num_known: np.ndarray,
        num_rare: np.ndarray,
        min_common: np.ndarray,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of (text, text of the index), int64 [B] each, that share enough rare runs."""
        import numpy as np

        is_rare = _place_in_text(owner, num_known) < num_rare[owner]
        owner, rank = owner[is_rare], rank[is_rare]
        number = self._posting[rank + 1] - self._posting[rank]
        before = np.cumsum(number) - number
        of_text = np.searchsorted(owner, owner)  # all runs of one text are in one block
        for start, end in _stretches(before[of_text] // _MEETINGS_AT_ONCE):
            left = np.repeat(owner[start:end], number[start:end])
            right = self._posted[_ranges(self._posting[rank[start:end]], number[start:end])]
            pairs, times = np.unique(left * len(self._size) + right, return_counts=True)
            left, right = np.divmod(pairs, len(self._size))
            is_enough = times >= np.minimum(min_common[left], _min_common(self._size[right]))
            yield left[is_enough], right[is_enough]

    def _is_alike(
        self, left: np.ndarray, right: np.ndarray, size: np.ndarray, num_known: np.ndarray, rank: np.ndarray
    ) -> np.ndarray:
        """bool [B]: whether the runs of text `left` and of the index's text `right` have the Jaccard index."""
        import numpy as np

        smaller, larger = (pick(size[left], self._size[right]) for pick in (np.minimum, np.maximum))
        is_alike = smaller >= MIN_JACCARD * larger
        first = np.cumsum(num_known) - num_known
        for some in _pieces(np.nonzero(is_alike)[0], num_known[left]):
            number = num_known[left[some]]
            key = np.repeat(right[some], number) * len(self._known) + rank[_ranges(first[left[some]], number)]
            place = np.minimum(np.searchsorted(self._members, key), len(self._members) - 1)
            is_common = self._members[place] == key
            common = np.bincount(np.repeat(np.arange(len(some)), number)[is_common], minlength=len(some))
            union = size[left[some]] + self._size[right[some]] - common
            is_alike[some] = common >= MIN_JACCARD * union
        return is_alike


def _runs(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(text, run) of all distinct runs, int64 and uint64, sorted by text; a shorter text is one run."""
    import numpy as np

    padded = [text.ljust(SHINGLE_CHARS, "\0") for text in texts]
    if not padded:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    codes = _codes(points)
    length = np.array([len(text) for text in padded])
    number = length - SHINGLE_CHARS + 1
    owner = np.repeat(np.arange(len(texts)), number)
    codes = codes[_ranges(np.cumsum(length) - length, number)]
    order = np.lexsort((codes, owner))
    owner, codes = owner[order], codes[order]
    is_new = np.ones(len(codes), bool)
    is_new[1:] = (owner[1:] != owner[:-1]) | (codes[1:] != codes[:-1])
    return owner[is_new], codes[is_new]


def _codes(points: np.ndarray) -> np.ndarray:
    """uint64 [N - 4]: each run of `points` uint64 [N] as a number: itself if its characters are below 4096, else a 64-bit hash."""
    import numpy as np

    last = len(points) - SHINGLE_CHARS + 1
    packed, mixed, highest = (np.zeros(last, np.uint64) for _ in range(3))
    for place in range(SHINGLE_CHARS):
        point = points[place : place + last]
        packed = (packed << np.uint64(_CODE_BITS)) | point
        mixed = (mixed ^ point) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        highest = np.maximum(highest, point)
    is_wide = highest >= 1 << _CODE_BITS
    return np.where(is_wide, mixed | np.uint64(1 << 63), packed)


def _min_common(size: np.ndarray) -> np.ndarray:
    """How many rare members an alike set shares at least: fewer than MIN_COMMON only if all that it must share are fewer."""
    import numpy as np

    return np.minimum(MIN_COMMON, np.ceil(MIN_JACCARD * size).astype(np.int64))


def _prefix(size: np.ndarray) -> np.ndarray:
    """Among how many of a set's rarest members an alike set has those."""
    import numpy as np

    return size - np.ceil(MIN_JACCARD * size).astype(np.int64) + _min_common(size)


def _place_in_text(owner: np.ndarray, size: np.ndarray) -> np.ndarray:
    """0, 1, … within each text; `owner` is sorted, and text t has `size[t]` entries."""
    import numpy as np

    return np.arange(len(owner)) - (np.cumsum(size) - size)[owner]


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
