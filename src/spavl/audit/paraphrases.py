"""Questions of the test that stand in train too: word for word, or in nearly the same words. Pure.

Texts are compared without case and punctuation. Nearly the same: the sets of their runs of SHINGLE_CHARS characters have
a Jaccard index of at least MIN_JACCARD (Broder 1997). The test's texts are held in an index, and train's stream past it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from spavl.audit.floods import normalised
from spavl.audit.shingles import TextIndex
from spavl.audit.texts import normalised_texts

_TEXTS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Overlap:
    """Test texts that stand in train, normalised."""

    verbatim: frozenset[str]
    paraphrased: frozenset[str]  # those in `verbatim` too

    def verbatim_share(self, texts: Collection[str] | Mapping[str, int]) -> float | None:
        """Share of test prompts (or text -> how many of them) whose text is in train word for word; None without prompts."""
        return _share(texts, self.verbatim)

    def paraphrased_share(self, texts: Collection[str] | Mapping[str, int]) -> float | None:
        """Share of test prompts whose text is in train, word for word or nearly so; None without prompts."""
        return _share(texts, self.paraphrased)


def overlap(test: Iterable[str], train: Iterable[str]) -> Overlap:
    """Which texts of the test are in train; `train` is read once, and only some of it is held at a time."""
    of_test = sorted({text for texts in _normalised(test) for text in texts})
    known, verbatim, places = set(of_test), set(), set()
    index = TextIndex(of_test)
    for texts in _normalised(train):
        verbatim |= known.intersection(texts)
        places |= {place for _, place in index.alike(texts)}
    return Overlap(frozenset(verbatim), frozenset(of_test[place] for place in places))


def held_back(train: Iterable[str], test: Iterable[str]) -> frozenset[str]:
    """Normalised texts of train that stand in the test, word for word or nearly so."""
    index = TextIndex(sorted({text for texts in _normalised(test) for text in texts}))
    return frozenset(texts[row] for texts in _normalised(train) for row, _ in index.alike(texts))


def _normalised(texts: Iterable[str]) -> Iterator[list[str]]:
    """Some thousands at a time, each once."""
    texts = iter(texts)
    while some := list(itertools.islice(texts, _TEXTS_AT_ONCE)):
        yield list(dict.fromkeys(_all_normalised(some)))


def _all_normalised(texts: list[str]) -> Iterable[str]:
    """`normalised` of each; a fifth of the time for texts of ASCII."""
    import pyarrow as pa

    if not all(text.isascii() for text in texts):
        return map(normalised, texts)
    return normalised_texts(pa.array(texts, pa.string())).to_pylist()


def _share(texts: Collection[str] | Mapping[str, int], found: frozenset[str]) -> float | None:
    prompts = Counter(texts)
    number = sum(times for text, times in prompts.items() if normalised(text) in found) if found else 0
    return number / prompts.total() if prompts else None
