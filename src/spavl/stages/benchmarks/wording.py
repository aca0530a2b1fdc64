"""Texts as content: the hash by which an attack is looked for in train, and the words that train binds to harm or to benign."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

from spavl.records import stable_hash

_WORD = re.compile(r"[^\W_]+")
_PRIOR = 1.0  # added to each count: a word seen once is no evidence


def normalised(text: str) -> str:
    """Lower case, words only, one blank between them: what stays the same if a text is copied carelessly."""
    return " ".join(words_of(text))


def words_of(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def text_hash(text: str) -> str:
    """By which a text is found again; texts that differ in case, blanks or punctuation alone have the same."""
    return stable_hash("text", normalised(text))


def bound_words(harm: Iterable[str], benign: Iterable[str]) -> tuple[list[str], list[str]]:
    """Words of the harm and of the benign questions, those most bound to one of the two kinds first.

    By the log odds ratio with a prior of one question for each (Monroe, Colaresi & Quinn 2008, Political Analysis 16:372, with a
    flat prior); a question counts a word once. Words bound to neither are left out.
    """
    harm_counts, num_harm = _counts(harm)
    benign_counts, num_benign = _counts(benign)
    odds = {
        word: _log_odds(harm_counts[word], num_harm) - _log_odds(benign_counts[word], num_benign)
        for word in sorted(harm_counts.keys() | benign_counts.keys())
    }
    ordered = sorted(odds, key=lambda word: (-odds[word], word))
    return [word for word in ordered if odds[word] > 0], [
        word for word in reversed(ordered) if odds[word] < 0
    ]


def _counts(texts: Iterable[str]) -> tuple[Counter[str], int]:
    counts: Counter[str] = Counter()
    number = 0
    for text in texts:
        counts.update(set(words_of(text)))
        number += 1
    return counts, number


def _log_odds(count: int, number: int) -> float:
    return math.log((count + _PRIOR) / (number - count + _PRIOR))
