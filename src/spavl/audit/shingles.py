"""Which texts have nearly the same runs of characters: exact, on arrays, one side in an index and the other in a stream. Pure.

Two sets that are alike share MIN_COMMON of the rarest members of each (prefix filter: Chaudhuri, Ganti and Kaushik 2006;
with more than one: Wang, Li and Feng 2012), so all pairs are found, and only texts that share rare runs are compared. One word
gives several runs, so one run in common would be too little to tell. How rare a run is, is counted in the index; a run that
the index does not have is the rarest. Among how many of the rarest those must be follows from the sizes of both sets, so texts
meet size class by size class. A stream in the order of length is the fastest: it needs the lists of few classes at a time.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.audit.runs import LOW_BITS, Runs, by_frequency, frequent, low, ranges

if TYPE_CHECKING:
    import numpy as np

MIN_JACCARD = 0.6
MIN_COMMON = 5
_SHARE = MIN_JACCARD / (1 + MIN_JACCARD)  # of both sizes together that two alike sets have in common
_ROUNDING = 1e-6  # a bound may be too low by that, and finds nothing less
_CLASS_WIDTH = 1.2  # a class's largest size, of its smallest
_CLASSES_AT_ONCE = 2  # whose lists are kept
_TEXTS_AT_ONCE = 4096
_MEETINGS_AT_ONCE = 100_000


class TextIndex:
    """Distinct texts, by their runs of SHINGLE_CHARS characters."""

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np

        pieces = [Runs.of(texts[n : n + _TEXTS_AT_ONCE]) for n in range(0, len(texts), _TEXTS_AT_ONCE)]
        self._known, self._rank = by_frequency(pieces)
        members, sizes = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        while pieces:
            keys, size = pieces.pop(0).ranked(self._ranks_of)
            members.append(low(keys).astype(np.int32))
            sizes.append(size)
        # ranks of each text's runs, sorted: most of an index's memory
        self._members, self._size = np.concatenate(members), np.concatenate(sizes)
        self._first = np.cumsum(self._size) - self._size
        self._classes = [self._class(number, some) for number, some in _by_size_class(self._size)]
        self._lists: dict[int, list[_Lists]] = {}

    def _ranks_of(self, codes: np.ndarray) -> np.ndarray:
        """int64 [N] of sorted codes; one that the index does not have comes after all others, with a number of its own."""
        import numpy as np

        place = np.minimum(np.searchsorted(self._known, codes), len(self._known) - 1)
        is_known = self._known[place] == codes
        return np.where(is_known, self._rank[place], len(self._known) + np.arange(len(codes)))

    def _class(self, number: int, texts: np.ndarray) -> _Class:
        import numpy as np

        size = self._size[texts]
        num_rare = _prefix(size, np.ceil(MIN_JACCARD * size - _ROUNDING).astype(np.int64))
        rank = self._members[ranges(self._first[texts], num_rare)]
        order = low(np.sort((rank.astype(np.int64) << LOW_BITS) | np.arange(len(rank))))
        place = ranges(np.zeros_like(num_rare), num_rare)
        return _Class(
            *_edges(number),
            rank[order],
            np.repeat(texts.astype(np.int32), num_rare)[order],
            place[order].astype(np.int32),
        )

    def _lists_for(self, number: int) -> list[_Lists]:
        """What texts of a size class meet: the lists of each class that they may be alike with."""
        if number not in self._lists:
            while len(self._lists) >= _CLASSES_AT_ONCE:
                del self._lists[next(iter(self._lists))]
            smallest, largest = _edges(number)
            self._lists[number] = [
                each.lists(smallest, self._size, len(self._known))
                for each in self._classes
                if each.smallest * MIN_JACCARD <= largest and smallest * MIN_JACCARD <= each.largest
            ]
        return self._lists[number]

    def alike(self, texts: Sequence[str]) -> Iterator[tuple[int, int]]:
        """(place in `texts`, place in the index) of all pairs that say nearly the same; the same text is one, too."""
        import numpy as np

        if not len(texts) or not len(self._size):
            return
        keys, size = Runs.of(texts).ranked(self._ranks_of)
        rank, first = low(keys), np.cumsum(size) - size
        num_known = np.bincount((keys >> LOW_BITS)[rank < len(self._known)], minlength=len(texts))
        for number, some in _by_size_class(size):
            for lists in self._lists_for(number):
                num_rare = _prefix(size[some], _num_common(size[some], lists.smallest))
                num_rare = np.clip(num_rare - (size - num_known)[some], 0, num_known[some])
                for left, right in self._candidates(some, num_rare, rank, first, size, lists):
                    is_alike = self._is_alike(left, right, size, rank, first)
                    yield from zip(left[is_alike].tolist(), right[is_alike].tolist(), strict=True)

    def _candidates(
        self,
        texts: np.ndarray,
        num_rare: np.ndarray,
        rank: np.ndarray,
        first: np.ndarray,
        size: np.ndarray,
        lists: _Lists,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of (text, text of the index), int64 [B] each, that share enough of their rarest runs."""
        import numpy as np

        rank = rank[ranges(first[texts], num_rare)]
        owner = np.repeat(np.arange(len(texts)), num_rare)
        number = lists.start[rank + 1] - lists.start[rank]
        before = np.cumsum(number) - number
        of_text = np.repeat(np.cumsum(num_rare) - num_rare, num_rare)  # all runs of one text are in one block
        least = min(MIN_COMMON, int(_num_common(size[texts].min(), lists.smallest)))
        for start, end in _stretches(before[of_text] // _MEETINGS_AT_ONCE):
            left = np.repeat((owner[start:end] - owner[start]) * len(self._size), number[start:end])
            right = lists.text[ranges(lists.start[rank[start:end]], number[start:end])]
            pairs, times = frequent(left + right, least)
            left, right = np.divmod(pairs, len(self._size))
            left = texts[left + owner[start]]
            is_enough = times >= np.minimum(MIN_COMMON, _num_common(size[left], self._size[right]))
            yield left[is_enough], right[is_enough]

    def _is_alike(
        self, left: np.ndarray, right: np.ndarray, size: np.ndarray, rank: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        """bool [B]: whether the runs of text `left` and of the index's text `right` have the Jaccard index."""
        import numpy as np

        number, of_right = size[left], self._size[right]
        is_alike = np.minimum(number, of_right) >= MIN_JACCARD * np.maximum(number, of_right)
        for some in _pieces(np.nonzero(is_alike)[0], number + of_right):
            pair = np.arange(len(some)) << LOW_BITS
            one = np.repeat(pair, number[some]) | rank[ranges(first[left[some]], number[some])]
            other = np.repeat(pair, of_right[some])
            other |= self._members[ranges(self._first[right[some]], of_right[some])]
            both = np.sort(np.concatenate([one, other]))
            of_pair = both[1:][both[1:] == both[:-1]] >> LOW_BITS
            common = np.bincount(of_pair, minlength=len(some))
            is_alike[some] = common >= MIN_JACCARD * (number[some] + of_right[some] - common)
        return is_alike


@dataclass(frozen=True, slots=True)
class _Class:
    """Texts of about one size, with as many of their rarest runs as any other text may ask for; arrays [N], by rank."""

    smallest: int
    largest: int
    rank: np.ndarray  # int32
    text: np.ndarray  # int32: a text that has the run
    place: np.ndarray  # int32: how many rarer ones that text has

    def lists(self, other_smallest: int, size: np.ndarray, num_known: int) -> _Lists:
        """For texts that have at least `other_smallest` runs."""
        import numpy as np

        of_text = size[self.text]
        is_rare = self.place < _prefix(of_text, _num_common(of_text, other_smallest))
        number = np.bincount(self.rank[is_rare], minlength=num_known)
        start = np.concatenate([np.zeros(1, np.int64), np.cumsum(number)])
        return _Lists(self.smallest, start, self.text[is_rare])


@dataclass(frozen=True, slots=True)
class _Lists:
    """Run by run, the texts of a class that have it among their rarest."""

    smallest: int
    start: np.ndarray  # int64 [runs + 1]
    text: np.ndarray  # int32


def _edges(number: int) -> tuple[int, int]:
    """The smallest and the largest size of a class."""
    edges = _smallest_sizes()
    return edges[number], edges[number + 1] - 1


@functools.cache
def _smallest_sizes() -> list[int]:
    sizes = [0]
    while sizes[-1] < 1 << LOW_BITS:
        sizes.append(max(sizes[-1] + 1, int(sizes[-1] * _CLASS_WIDTH)))
    return sizes


def _by_size_class(size: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each class that occurs in `size` [texts], and the places of its texts, int64."""
    import numpy as np

    of_text = np.searchsorted(_smallest_sizes(), size, side="right") - 1
    for number in np.unique(of_text).tolist():
        yield number, np.flatnonzero(of_text == number)


def _num_common(size: np.ndarray, other: np.ndarray | int) -> np.ndarray:
    """How many members sets of these sizes have in common at least if they are alike, int64."""
    import numpy as np

    return np.ceil(_SHARE * (size + other) - _ROUNDING).astype(np.int64)


def _prefix(size: np.ndarray, num_common: np.ndarray) -> np.ndarray:
    """Among how many of a set's rarest members the MIN_COMMON rarest are that it shares with one that shares `num_common`."""
    import numpy as np

    return np.clip(size - num_common + MIN_COMMON, 0, size)


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
