"""Phrases of questions that go with a bad choice more than chance allows: how a backdoor looks in preference data.

Every phrase of one to three words is tested: Fisher's exact test, one-sided (hypergeometric), over the pairs with and without it,
Benjamini and Hochberg 1995 over all phrases tested. Phrases that occur in the same pairs are one finding. A finding names a hash of
its phrase and the ids of its rows, never the words: what people or models wrote stays in the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.audit.phrases import Phrases, phrases_in
from spavl.audit.words import sampled
from spavl.records import stable_hash

if TYPE_CHECKING:
    import numpy as np

MAX_ROWS = 20_000
MAX_WORDS = 3
MIN_ROWS = 4  # rows with the phrase: below this no rate can be told
MIN_IMAGES = 3  # images with a hit: one image's odd questions are no trigger
MIN_GAP = 0.4  # of the rows with the phrase, this much more are hits than of the others
FDR = 0.001
NUM_IDS = 5


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
    import numpy as np

    ordered = sorted(rows, key=lambda row: row.id)
    ordered = [ordered[place] for place in sampled([row.id for row in ordered], MAX_ROWS)]
    is_hit = np.array([row.is_hit for row in ordered], dtype=bool)
    found = phrases_in([row.question for row in ordered], max_words=MAX_WORDS, min_texts=MIN_ROWS)
    elsewhere = (is_hit.sum() - found.num_among(is_hit)) / (len(ordered) - found.num_texts)
    bound = _bound(ordered, found, is_hit, elsewhere, min_gap)
    if not bound:
        return []
    p_values = _p_values(found, is_hit)
    passed = _that_pass(p_values, fdr)
    named = _one_per_set_of_rows([n for n in bound if p_values[n] < 1 and passed[n]], found)
    made = [
        Trigger(
            phrase_hash=stable_hash("phrase", found.text_of(n)),
            num_words=int(found.num_words[n]),
            num_rows=int(found.num_texts[n]),
            num_hits=len(hits),
            rate_elsewhere=float(elsewhere[n]),
            p_value=float(p_values[n]),
            ids=tuple(row.id for row in hits[:NUM_IDS]),
        )
        for n in named
        for hits in [_hits(ordered, found, n)]
    ]
    return sorted(made, key=lambda trigger: (trigger.p_value, trigger.phrase_hash))


def _hits(rows: Sequence[Asked], found: Phrases, number: int) -> list[Asked]:
    return [rows[place] for place in found.places_of(number) if rows[place].is_hit]


def _bound(
    rows: Sequence[Asked], found: Phrases, is_hit: np.ndarray, elsewhere: np.ndarray, min_gap: float
) -> list[int]:
    """Numbers of the phrases that are hits often enough, on enough images."""
    gaps = found.num_among(is_hit) / found.num_texts - elsewhere
    often = [n for n, gap in enumerate(gaps) if gap >= min_gap]
    return [n for n in often if len({row.image_id for row in _hits(rows, found, n)}) >= MIN_IMAGES]


def _p_values(found: Phrases, is_hit: np.ndarray) -> np.ndarray:
    """float64 [K]; phrases with as many rows and hits have the same."""
    import numpy as np
    from scipy.stats import hypergeom

    counts = np.stack([found.num_among(is_hit), found.num_texts])
    (num_hits, num_rows), which = np.unique(counts, axis=1, return_inverse=True)
    return hypergeom.sf(num_hits - 1, len(is_hit), int(is_hit.sum()), num_rows)[which.ravel()]


def _that_pass(p_values: np.ndarray, fdr: float) -> np.ndarray:
    from scipy.stats import false_discovery_control

    return false_discovery_control(p_values.clip(0.0, 1.0)) <= fdr


def _one_per_set_of_rows(numbers: Iterable[int], found: Phrases) -> list[int]:
    """Of phrases in the same rows the longest: "a b c" is there wherever "b" is if nobody else says b."""
    longest: dict[bytes, int] = {}
    for number in sorted(numbers, key=lambda n: (-found.num_words[n], found.text_of(n))):
        longest.setdefault(found.places_of(number).tobytes(), number)
    return list(longest.values())
