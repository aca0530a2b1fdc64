"""The decisions about a channel, an append-only log: `channels/<name>/decisions/<entry>/000002.json`, each made once or not at all.

`<entry>` is the number of the last published entry (0 for none) that the decision follows. A decision takes its number
before anybody knows its verdict, so no decision can be lost, and two runs never share a number. A run that is started again
finds the number that it took.
"""

from __future__ import annotations

import itertools
import json

from spavl.artifacts.store import Store


def next_number(store: Store, name: str, since_entry: int) -> int:
    """The number that the next decision about this channel would take, from 1."""
    return 1 + len(store.names(_folder(name, since_entry)))


def take_number(store: Store, name: str, since_entry: int, run_id: str) -> int:
    """The number of this run's decision since that entry: a new one on the first call, and the same on every other."""
    content = json.dumps({"run_id": run_id}).encode()
    for number in itertools.count(1):
        if store.create(f"{_folder(name, since_entry)}/{number:06d}.json", content):
            return number
    raise AssertionError("numbers end nowhere")


def _folder(name: str, since_entry: int) -> str:
    return f"channels/{name}/decisions/{since_entry:06d}"
