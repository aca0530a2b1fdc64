"""Questions of the test that stand in train too: word for word, or in nearly the same words. Pure.

Texts are compared without case and punctuation. Nearly the same: the sets of their runs of SHINGLE_CHARS characters have
a Jaccard index of at least MIN_JACCARD (Broder 1997). Two sets that are that alike share one of the rarest runs of each
(prefix filter: Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007), so all pairs are found, and only texts
that share a rare run are compared.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from spavl.audit.floods import normalised

SHINGLE_CHARS = 5
MIN_JACCARD = 0.6


@dataclass(frozen=True, slots=True)
class Overlap:
    """Test texts that stand in train, normalised."""

    verbatim: frozenset[str]
    paraphrased: frozenset[str]  # those in `verbatim` too

    def verbatim_share(self, texts: Collection[str]) -> float | None:
        """Share of test prompts whose text is in train word for word; None without prompts."""
        return _share(texts, self.verbatim)

    def paraphrased_share(self, texts: Collection[str]) -> float | None:
        """Share of test prompts whose text is in train, word for word or nearly so; None without prompts."""
        return _share(texts, self.paraphrased)


def overlap(test: Iterable[str], train: Iterable[str]) -> Overlap:
    """Which texts of the test are in train."""
    of_test, of_train = {normalised(text) for text in test}, {normalised(text) for text in train}
    verbatim = of_test & of_train
    paraphrased = verbatim | {one for one, _ in alike(of_test - verbatim, of_train)}
    return Overlap(frozenset(verbatim), frozenset(paraphrased))


def held_back(train: Iterable[str], test: Iterable[str]) -> frozenset[str]:
    """Normalised texts of train that stand in the test, word for word or nearly so."""
    of_train, of_test = {normalised(text) for text in train}, {normalised(text) for text in test}
    same = of_train & of_test
    return frozenset(same | {one for one, _ in alike(of_train - same, of_test)})


def alike(texts: Collection[str], others: Collection[str]) -> Iterator[tuple[str, str]]:
    """For each of `texts` the first found of `others` that says nearly the same; both normalised."""
    shingles = {text: _shingles(text) for text in {*texts, *others}}
    frequency = Counter(shingle for of_text in shingles.values() for shingle in of_text)
    rarest_first = {
        text: sorted(of_text, key=lambda shingle: (frequency[shingle], shingle))
        for text, of_text in shingles.items()
    }
    by_shingle: dict[str, list[str]] = defaultdict(list)
    for other in sorted(others):
        for shingle in _prefix(rarest_first[other]):
            by_shingle[shingle].append(other)
    for text in sorted(texts):
        candidates = {
            other for shingle in _prefix(rarest_first[text]) for other in by_shingle.get(shingle, ())
        }
        found = next(
            (other for other in sorted(candidates) if _jaccard(shingles[text], shingles[other])), None
        )
        if found is not None:
            yield text, found


def _jaccard(one: frozenset[str], other: frozenset[str]) -> bool:
    if min(len(one), len(other)) < MIN_JACCARD * max(len(one), len(other)):
        return False
    common = len(one & other)
    return common >= MIN_JACCARD * (len(one) + len(other) - common)


def _prefix(shingles: list[str]) -> list[str]:
    return shingles[: len(shingles) - math.ceil(MIN_JACCARD * len(shingles)) + 1]


def _shingles(text: str) -> frozenset[str]:
    last = max(1, len(text) - SHINGLE_CHARS + 1)
    return frozenset(text[start : start + SHINGLE_CHARS] for start in range(last))


def _share(texts: Collection[str], found: frozenset[str]) -> float | None:
    return sum(normalised(text) in found for text in texts) / len(texts) if texts else None
