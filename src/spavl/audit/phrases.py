"""Which texts have which phrases: runs of one to some words, counted in arrays. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Phrases:
    """K phrases, each with the places of the texts that have it, ascending."""

    places: np.ndarray  # int64, of all phrases one after the other
    starts: np.ndarray  # int64 [K + 1]: phrase k has places[starts[k]:starts[k + 1]]
    num_words: np.ndarray  # int64 [K]
    found_at: np.ndarray  # int64 [K]: number of its first word, of all words of all texts
    words: Sequence[str]  # of all texts, in small letters

    def __len__(self) -> int:
        return len(self.num_words)

    @property
    def num_texts(self) -> np.ndarray:
        """int64 [K]: how many texts have each."""
        return self.starts[1:] - self.starts[:-1]

    def places_of(self, number: int) -> np.ndarray:
        return self.places[self.starts[number] : self.starts[number + 1]]

    def text_of(self, number: int) -> str:
        """Its words; whatever stood between them is a blank."""
        first = self.found_at[number]
        return " ".join(self.words[first : first + self.num_words[number]])

    def num_among(self, flags: np.ndarray) -> np.ndarray:
        """int64 [K]: in how many texts with a flag (bool, one per text) each is."""
        import numpy as np

        total = np.concatenate([[0], np.cumsum(flags[self.places], dtype=np.int64)])
        return total[self.starts[1:]] - total[self.starts[:-1]]


def phrases_in(texts: Sequence[str], *, max_words: int, min_texts: int) -> Phrases:
    """All runs of one to `max_words` words that at least `min_texts` texts have, and not all of them."""
    import numpy as np

    of_texts = [_WORD.findall(text.lower()) for text in texts]
    words = list(itertools.chain.from_iterable(of_texts))
    text_of = np.repeat(np.arange(len(texts)), [len(found) for found in of_texts])
    numbers: dict[str, int] = {}
    alone = np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.int64)
    codes, found = alone, []  # of the run of words that begins at each place
    for length in range(1, max_words + 1):
        last = len(words) - length + 1
        if last <= 0:
            break
        if length > 1:
            codes = codes[:last] * len(numbers) + alone[length - 1 :]
        is_whole = text_of[:last] == text_of[length - 1 :]
        codes, phrases = _grouped(codes, text_of[:last], is_whole, min_texts, len(texts))
        found.append((length, *phrases))
    return _joined(found, words)


def _grouped(
    codes: np.ndarray, text_of: np.ndarray, is_whole: np.ndarray, min_texts: int, num_texts: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(codes numbered anew from 0, (places, number of places per phrase, where each is found)) of runs of one length."""
    import numpy as np

    order = np.argsort(codes, kind="stable")
    ordered, texts, is_whole = codes[order], text_of[order], is_whole[order]
    is_new_code = np.ones(len(ordered), dtype=bool)
    is_new_code[1:] = ordered[1:] != ordered[:-1]
    numbers = np.cumsum(is_new_code) - 1
    renumbered = np.empty_like(codes)
    renumbered[order] = numbers
    numbers, texts, order = numbers[is_whole], texts[is_whole], order[is_whole]
    is_first = np.ones(len(numbers), dtype=bool)  # a text that has a phrase twice counts once
    is_first[1:] = (numbers[1:] != numbers[:-1]) | (texts[1:] != texts[:-1])
    numbers, texts, order = numbers[is_first], texts[is_first], order[is_first]
    sizes = np.bincount(numbers, minlength=1)
    is_kept = (sizes >= min_texts) & (sizes < num_texts)
    in_kept = is_kept[numbers]
    begins = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    return renumbered, (texts[in_kept], sizes[is_kept], order[begins[is_kept]])


def _joined(found: Sequence[tuple[int, np.ndarray, np.ndarray, np.ndarray]], words: Sequence[str]) -> Phrases:
    import numpy as np

    def joined(arrays: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype=np.int64), *arrays]).astype(np.int64)

    return Phrases(
        places=joined([places for _, places, _, _ in found]),
        starts=np.concatenate([[0], np.cumsum(joined([sizes for _, _, sizes, _ in found]))]).astype(np.int64),
        num_words=joined([np.full(len(sizes), length) for length, _, sizes, _ in found]),
        found_at=joined([where for _, _, _, where in found]),
        words=words,
    )
