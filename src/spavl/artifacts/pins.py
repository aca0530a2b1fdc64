"""Runs that `prune` keeps whatever their age, because a person said so: `pins/<run id>.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from spavl.artifacts.store import Store

FOLDER = "pins"


@dataclass(frozen=True)
class Pin:
    """Who pinned a run, and why."""

    run_id: str
    by: str
    reason: str
    at: str  # UTC, ISO 8601


def pins(store: Store) -> dict[str, Pin]:
    """All pins, by run."""
    contents = store.read_many(f"{FOLDER}/{name}" for name in store.names(FOLDER))
    return {pin.run_id: pin for pin in (Pin(**json.loads(content)) for content in contents)}


def pin(store: Store, made: Pin) -> None:
    """Pin a run, or change the reason."""
    store.write(
        f"{FOLDER}/{made.run_id}.json", json.dumps(asdict(made), indent=1, ensure_ascii=False).encode()
    )


def unpin(store: Store, run_id: str) -> None:
    store.remove_files([f"{FOLDER}/{run_id}.json"])
