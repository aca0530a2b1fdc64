"""Channels: append-only logs of numbered entries, `channels/<name>/000042.json`, each created once or not at all.

Publishing and rolling back are both one new entry that names its parent, so history is never lost and, of two writers who
saw the same head, one wins and the other is told.

What a plan asks of the history is answered without reading it: the newest entry holds the channel's standing, and
`channels/<name>/aligned/<alignment key>.json` names the entry that published an alignment. An entry is put into this index
before another follows it, so an entry with a standing says that all before it are in the index.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spavl.artifacts.standing import after_publish, standing_of
from spavl.artifacts.store import Store
from spavl.errors import UserError

ALIGNMENT_KEY, COUNTS = "alignment_key", "counts"  # of an entry's details: of a release, of a dataset version


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
    standing: dict[str, Any] = field(
        default_factory=dict
    )  # `artifacts/standing.py`; `append` fills it in, and entries of former versions have none

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Aligned:
    """Where an alignment was published."""

    run_id: str
    number: int  # of the entry


def entry_path(channel: str, number: int) -> str:
    return f"channels/{channel}/{number:06d}.json"


def aligned_path(channel: str, alignment_key: str) -> str:
    return f"channels/{channel}/aligned/{alignment_key}.json"


def history(store: Store, channel: str) -> list[Entry]:
    """All entries, oldest first."""
    paths = [entry_path(channel, number) for number in _numbers(store, channel)]
    return [Entry(**json.loads(content)) for content in store.read_many(paths)]


def head(store: Store, channel: str) -> Entry | None:
    """The newest entry, or None for a channel nobody published to."""
    number = head_number(store, channel)
    return _read(store, channel, number) if number else None


def head_number(store: Store, channel: str) -> int:
    """Number of the newest entry; 0 for none."""
    return max(_numbers(store, channel), default=0)


def standing(store: Store, channel: str, head: Entry | None) -> dict[str, Any]:
    """The channel's standing at its head; of an entry of a former version the history is read."""
    return head.standing if head is not None and head.standing else standing_of(_up_to(store, channel, head))


def find_aligned(store: Store, channel: str, head: Entry | None, *alignment_keys: str) -> Aligned | None:
    """Where one of these alignments was published up to `head`, or None: a read for each, or the history if the head is of a former version."""
    if head is None:
        return None
    if not head.standing:
        entries = reversed(_up_to(store, channel, head))
        return next((_aligned(one) for one in entries if _key_of(one) in alignment_keys), None)
    if _key_of(head) in alignment_keys:
        return _aligned(head)
    for key in alignment_keys:
        try:
            return Aligned(**json.loads(store.read(aligned_path(channel, key))))
        except FileNotFoundError:
            continue
    return None


def entry_of(store: Store, channel: str, number: int) -> Entry | None:
    """The entry of this number, or None if nobody has made it."""
    try:
        return _read(store, channel, number)
    except FileNotFoundError:
        return None


def append(store: Store, channel: str, entry: Entry) -> Entry:
    """Add an entry right after its parent, with its standing; what is published there already is success.

    Raises UserError if another entry already follows that parent: the head has moved since the plan was made.
    """
    if entry.number != entry.parent + 1:
        raise ValueError(f"entry {entry.number} cannot follow entry {entry.parent}")
    entry = replace(entry, standing=_standing_with(store, channel, entry))
    if store.create(entry_path(channel, entry.number), entry.to_json()):
        return entry
    winner = _read(store, channel, entry.number)
    if entry.action == winner.action == "publish" and _target(winner) == _target(entry):
        return winner
    raise UserError(
        f"the head of channel {channel!r} has moved: entry {entry.number} is already run {winner.run_id} ({winner.action}).",
        next_step="Nothing was published. Start a new run: it will begin from the new head and reuse what is done.",
    )


def _standing_with(store: Store, channel: str, entry: Entry) -> dict[str, Any]:
    """The standing after the entry; whatever it follows is in the index then."""
    parent = _read(store, channel, entry.parent) if entry.parent else None
    if parent is not None and parent.standing and entry.action == "publish":
        _put_into_index(store, channel, parent)
        return after_publish(parent.standing, entry)
    former = _up_to(store, channel, parent)
    for one in former[-1:] if parent is not None and parent.standing else former:
        _put_into_index(store, channel, one)
    return standing_of([*former, entry])


def _put_into_index(store: Store, channel: str, entry: Entry) -> None:
    if key := _key_of(entry):
        content = json.dumps(asdict(_aligned(entry))).encode()
        store.create(aligned_path(channel, key), content)  # of two equal alignments the earlier stays


def _up_to(store: Store, channel: str, head: Entry | None) -> list[Entry]:
    """All entries up to this one, oldest first; `head` itself is not read again."""
    if head is None:
        return []
    earlier = [number for number in _numbers(store, channel) if number < head.number]
    return [*(_read(store, channel, number) for number in earlier), head]


def _key_of(entry: Entry) -> str:
    """The alignment that the entry published; "" if it did not."""
    return str(entry.details.get(ALIGNMENT_KEY, "")) if entry.action == "publish" else ""


def _aligned(entry: Entry) -> Aligned:
    return Aligned(entry.run_id, entry.number)


def _target(entry: Entry) -> tuple[str, str, str]:
    return entry.run_id, entry.stage, entry.fingerprint


def _numbers(store: Store, channel: str) -> list[int]:
    """Of all entries, in order."""
    names = store.names(f"channels/{channel}")
    return sorted(int(name.removesuffix(".json")) for name in names if name.endswith(".json"))


def _read(store: Store, channel: str, number: int) -> Entry:
    return Entry(**json.loads(store.read(entry_path(channel, number))))
