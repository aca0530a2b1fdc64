"""Channels: append-only logs of numbered entries, `channels/<name>/000042.json`, each created once or not at all.

Publishing and rolling back are both one new entry that names its parent, so history is never lost and, of two writers who
saw the same head, one wins and the other is told.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from spavl.artifacts.store import Store
from spavl.errors import UserError


@dataclass(frozen=True)
class Entry:
    """What a channel points to from this entry on."""

    number: int  # 1, 2, 3, …
    parent: int  # number of the entry it follows; 0 for the first
    action: str  # publish or rollback
    run_id: str
    stage: str  # dataset or release
    fingerprint: str  # of the record it points to
    created_at: str  # UTC, ISO 8601
    reason: str = ""  # why it was rolled back
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()


def entry_path(channel: str, number: int) -> str:
    return f"channels/{channel}/{number:06d}.json"


def history(store: Store, channel: str) -> list[Entry]:
    """All entries, oldest first."""
    paths = [entry_path(channel, number) for number in _numbers(store, channel)]
    return [Entry(**json.loads(content)) for content in store.read_many(paths)]


def head(store: Store, channel: str) -> Entry | None:
    """The newest entry, or None for a channel nobody published to."""
    numbers = _numbers(store, channel)
    return _read(store, channel, numbers[-1]) if numbers else None


def append(store: Store, channel: str, entry: Entry) -> Entry:
    """Add an entry right after its parent; the same entry again is success.

    Raises UserError where another entry already follows that parent: the head has moved since the plan was made.
    """
    if entry.number != entry.parent + 1:
        raise ValueError(f"entry {entry.number} cannot follow entry {entry.parent}")
    if not store.create(entry_path(channel, entry.number), entry.to_json()):
        winner = _read(store, channel, entry.number)
        raise UserError(
            f"the head of channel {channel!r} has moved: entry {entry.number} is already run {winner.run_id} ({winner.action}).",
            next_step="Nothing was published. Start a new run: it will begin from the new head and reuse what is done.",
        )
    return entry


def _numbers(store: Store, channel: str) -> list[int]:
    names = store.names(f"channels/{channel}")
    return sorted(int(name.removesuffix(".json")) for name in names if name.endswith(".json"))


def _read(store: Store, channel: str, number: int) -> Entry:
    return Entry(**json.loads(store.read(entry_path(channel, number))))
