"""Phrases of questions that go with a bad choice more than chance allows: how a backdoor looks in preference data.

Every phrase of one to three words is tested: Fisher's exact test, one-sided (hypergeometric), over the pairs with and without it,
Benjamini and Hochberg 1995 over all phrases tested. Phrases that occur in the same pairs are one finding. A finding names a hash of
its phrase and the ids of its rows, never the words: what people or models wrote stays in the tables.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spavl.audit.words import sampled
from spavl.records import stable_hash

MAX_ROWS = 20_000
MAX_WORDS = 3
MIN_ROWS = 4  # rows with the phrase: below this no rate can be told
MIN_IMAGES = 3  # images with a hit: one image's odd questions are no trigger
MIN_GAP = 0.4  # of the rows with the phrase, this much more are hits than of the others
FDR = 0.001
NUM_IDS = 5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Asked:
    """One row to test: the question's text, its image, and whether something bad happened there."""

    id: str
    image_id: str
    question: str
    is_hit: bool


@dataclass(frozen=True, slots=True)
class Trigger:
    """A phrase bound to hits."""

    phrase_hash: str
    num_words: int
    num_rows: int
    num_hits: int
    rate_elsewhere: float
    p_value: float  # before the correction
    ids: tuple[str, ...]  # up to NUM_IDS rows that have it and are hits

    def as_details(self) -> dict[str, Any]:
        """JSON for a record."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"ids": list(self.ids)}


def triggers(rows: Iterable[Asked], *, fdr: float = FDR, min_gap: float = MIN_GAP) -> list[Trigger]:
    """The phrases bound to hits, the strongest first."""
    ordered = sorted(rows, key=lambda row: row.id)
    ordered = [ordered[place] for place in sampled([row.id for row in ordered], MAX_ROWS)]
    places = _places_by_phrase(ordered)
    p_values = _p_values(ordered, places)
    chosen = [p for p in places if p_values[p] < 1 and _is_bound(ordered, places[p], min_gap)]
    passed = _that_pass(p_values, fdr)
    found = _one_per_set_of_rows([phrase for phrase in chosen if phrase in passed], places)
    made = [_trigger(phrase, ordered, places[phrase], p_values[phrase]) for phrase in found]
    return sorted(made, key=lambda trigger: (trigger.p_value, trigger.phrase_hash))


def phrases(text: str) -> set[str]:
    """All runs of one to three words, in small letters; whatever stands between words is a blank."""
    words = _WORD.findall(text.lower())
    return {
        " ".join(words[start : start + length])
        for length in range(1, MAX_WORDS + 1)
        for start in range(len(words) - length + 1)
    }


def _places_by_phrase(rows: Sequence[Asked]) -> dict[str, tuple[int, ...]]:
    """Phrase -> the rows that have it, for phrases in MIN_ROWS rows or more and not in all."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        for phrase in phrases(row.question):
            places[phrase].append(place)
    return {
        phrase: tuple(found) for phrase, found in sorted(places.items()) if MIN_ROWS <= len(found) < len(rows)
    }


def _p_values(rows: Sequence[Asked], places: Mapping[str, tuple[int, ...]]) -> dict[str, float]:
    import numpy as np
    from scipy.stats import hypergeom

    if not places:
        return {}
    is_hit = np.array([row.is_hit for row in rows])
    num_hits = np.array([is_hit[list(found)].sum() for found in places.values()])
    num_rows = np.array([len(found) for found in places.values()])
    p_values = hypergeom.sf(num_hits - 1, len(rows), int(is_hit.sum()), num_rows)
    return dict(zip(places, p_values.tolist(), strict=True))


def _that_pass(p_values: Mapping[str, float], fdr: float) -> set[str]:
    from scipy.stats import false_discovery_control

    if not p_values:
        return set()
    adjusted = false_discovery_control([min(max(p, 0.0), 1.0) for p in p_values.values()])
    return {phrase for phrase, value in zip(p_values, adjusted, strict=True) if value <= fdr}


def _is_bound(rows: Sequence[Asked], found: tuple[int, ...], min_gap: float) -> bool:
    hits = [rows[place] for place in found if rows[place].is_hit]
    gap = len(hits) / len(found) - _rate_elsewhere(rows, found)
    return gap >= min_gap and len({row.image_id for row in hits}) >= MIN_IMAGES


def _rate_elsewhere(rows: Sequence[Asked], found: tuple[int, ...]) -> float:
    inside = sum(rows[place].is_hit for place in found)
    return (sum(row.is_hit for row in rows) - inside) / (len(rows) - len(found))


def _one_per_set_of_rows(found: Sequence[str], places: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Of phrases in the same rows the longest: "a b c" is there wherever "b" is if nobody else says b."""
    longest: dict[tuple[int, ...], str] = {}
    for phrase in sorted(found, key=lambda phrase: (-len(phrase.split()), phrase)):
        longest.setdefault(places[phrase], phrase)
    return list(longest.values())


def _trigger(phrase: str, rows: Sequence[Asked], found: tuple[int, ...], p_value: float) -> Trigger:
    hits = [rows[place].id for place in found if rows[place].is_hit]
    return Trigger(
        phrase_hash=stable_hash("phrase", phrase),
        num_words=len(phrase.split()),
        num_rows=len(found),
        num_hits=len(hits),
        rate_elsewhere=_rate_elsewhere(rows, found),
        p_value=p_value,
        ids=tuple(hits[:NUM_IDS]),
    )
