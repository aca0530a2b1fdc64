"""A channel is a log: entries are added, never changed."""

from __future__ import annotations

import pytest

from spavl.artifacts import channel
from spavl.artifacts.store import open_store
from spavl.errors import UserError


def entry(number: int, run_id: str = "20260101-aaaaaaaaaa") -> channel.Entry:
    return channel.Entry(
        number,
        number - 1,
        "publish",
        run_id,
        "release",
        f"fingerprint of {run_id}",
        "2026-01-01T00:00:00+00:00",
    )


def test_a_new_channel_has_no_head(store_url: str) -> None:
    assert channel.head(open_store(store_url), "stable") is None


def test_the_head_is_the_newest_entry_and_history_is_whole(store_url: str) -> None:
    store = open_store(store_url)
    for number in range(1, 12):
        channel.append(store, "stable", entry(number))
    assert channel.head(store, "stable").number == 11
    assert [item.number for item in channel.history(store, "stable")] == list(range(1, 12))


def test_publishing_the_same_entry_twice_is_success(store_url: str) -> None:
    store = open_store(store_url)
    assert channel.append(store, "stable", entry(1)) == channel.append(store, "stable", entry(1))


def test_a_writer_whose_head_has_moved_is_told_who_won(store_url: str) -> None:
    store = open_store(store_url)
    channel.append(store, "stable", entry(1, "20260101-aaaaaaaaaa"))
    with pytest.raises(UserError, match="has moved: entry 1 is already run 20260101-aaaaaaaaaa"):
        channel.append(store, "stable", entry(1, "20260102-bbbbbbbbbb"))
    assert channel.head(store, "stable").run_id == "20260101-aaaaaaaaaa"
