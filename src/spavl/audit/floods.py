"""Whether few things are there many times: near-duplicate groups, classes, texts. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

from spavl.records import BENIGN

_WORD = re.compile(r"\w+")


def normalised(text: str) -> str:
    """Letters and digits of a text in lower case, one blank between words: what a person would call the same text."""
    return " ".join(_WORD.findall(text.lower()))


def commonest_share(values: Iterable[Hashable]) -> float | None:
    """Share of the commonest value, None without values."""
    found = Counter(values)
    return max(found.values()) / found.total() if found else None


def effective_number(values: Iterable[Hashable]) -> float | None:
    """How many equally common values would be as varied: 1 / sum of squared shares (Hill 1973, order 2); None without values."""
    found = Counter(values)
    return found.total() ** 2 / sum(number**2 for number in found.values()) if found else None


def largest_copies_share(groups: Sequence[str]) -> float | None:
    """Copies in the largest of near-duplicate groups, one of its images not counted, as a share of all images."""
    found = Counter(groups)
    return (max(found.values()) - 1) / found.total() if found else None


def copies_share(groups: Sequence[str]) -> float | None:
    """Images that are copies of another one, one of each group not counted, as a share of all images."""
    return 1 - len(set(groups)) / len(groups) if groups else None


def image_floods(class1: Mapping[str, str], groups: Mapping[str, str]) -> dict[str, float | None]:
    """Measures over images: id -> class1, id -> near-duplicate group."""
    sides = {
        "harm": [groups[image_id] for image_id, domain in class1.items() if domain != BENIGN],
        "benign": [groups[image_id] for image_id, domain in class1.items() if domain == BENIGN],
    }
    return {
        "copies_share": copies_share([groups[image_id] for image_id in class1]),
        **{f"largest_copies_share_{side}": largest_copies_share(of) for side, of in sides.items()},
        **{f"effective_images_{side}": effective_number(of) for side, of in sides.items()},
    }
