"""Images that must never come back, an append-only log: `forgotten/000001.json`, each entry made once or not at all.

An entry says who asked for it and why. An image is named by the sha256 of its bytes, so its return under another name is
noticed. A plan freezes the number of the last entry, so a run that goes on after a kill decides as it began.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from spavl.artifacts.store import Store

FOLDER = "forgotten"


@dataclass(frozen=True)
class Forgotten:
    """One entry."""

    image_ids: tuple[str, ...]
    by: str
    reason: str
    at: str  # UTC, ISO 8601


def num_entries(store: Store) -> int:
    """How many entries there are; one LIST."""
    return len(store.names(FOLDER))


def entries(store: Store, num: int | None = None) -> list[Forgotten]:
    """The first `num` entries (default: all), oldest first."""
    names = store.names(FOLDER) if num is None else [_name(number) for number in range(1, num + 1)]
    contents = store.read_many(f"{FOLDER}/{name}" for name in names)
    made = (json.loads(content) for content in contents)
    return [Forgotten(tuple(entry.pop("image_ids")), **entry) for entry in made]


def image_ids(store: Store, num: int | None = None) -> frozenset[str]:
    """The images of the first `num` entries."""
    if num == 0:
        return frozenset()
    return frozenset(id for entry in entries(store, num) for id in entry.image_ids)


def append(store: Store, ids: Sequence[str], *, by: str, reason: str, at: str) -> int:
    """Add an entry and return its number."""
    content = json.dumps(asdict(Forgotten(tuple(ids), by, reason, at)), indent=1, ensure_ascii=False).encode()
    for number in itertools.count(1 + num_entries(store)):
        if store.create(f"{FOLDER}/{_name(number)}", content):
            return number
    raise AssertionError("numbers end nowhere")


def _name(number: int) -> str:
    return f"{number:06d}.json"
