"""A channel's newest entry says what its whole history comes to."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.artifacts import channel
from spavl.artifacts.channel import Entry
from spavl.artifacts.standing import HELP, UNSAFE, references_of, standing_of
from spavl.artifacts.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path / 'store'}")


def release(number: int, *, unsafe: float | None = 0.1, helps: float | None = 0.9, key: str = "") -> Entry:
    scores = {name: value for name, value in ((UNSAFE, unsafe), (HELP, helps)) if value is not None}
    details = {"scores": scores, "alignment_key": key or f"key{number}"}
    return Entry(
        number, number - 1, "publish", f"run-{number}", "release", f"f{number}", "2026", details=details
    )


def rollback(number: int, to: Entry) -> Entry:
    return dataclasses.replace(to, number=number, parent=number - 1, action="rollback", reason="bad")


def written_by_a_former_version(store: Store, *entries: Entry) -> None:
    """Entries without a standing and without an index, as they were."""
    for entry in entries:
        former = {name: value for name, value in dataclasses.asdict(entry).items() if name != "standing"}
        store.create(channel.entry_path("stable", entry.number), json.dumps(former).encode())


def references_in_plain_words(entries: list[Entry]) -> dict[str, str]:
    """role -> run: what the code did before entries had a standing."""
    standing: list[Entry] = []
    published: dict[str, Entry] = {}
    for entry in entries:
        published.setdefault(entry.fingerprint, entry)
        if entry.action == "publish":
            standing.append(entry)
        else:
            target = published[entry.fingerprint]
            standing = [one for one in standing if one.number < target.number] + [target]
    head = entries[-1]
    roles = {"champion": head}
    for role, rate, sign in (("best_harm", UNSAFE, 1), ("best_help", HELP, -1)):
        rated = [entry for entry in standing if rate in entry.details["scores"]]
        if rated:
            best = min(rated, key=lambda entry: sign * entry.details["scores"][rate])
            is_better = (
                rate not in head.details["scores"]
                or sign * best.details["scores"][rate] < sign * head.details["scores"][rate]
            )
            if best.fingerprint != head.fingerprint and is_better:
                roles[role] = best
    return {role: entry.run_id for role, entry in roles.items()}


rates = st.none() | st.sampled_from([0.0, 0.1, 0.2, 0.3])
moves = st.lists(st.tuples(rates, rates, st.none() | st.integers(0, 9)), min_size=1, max_size=12)


@given(moves=moves, num_former=st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_the_head_says_what_the_whole_history_says_however_much_of_it_is_of_a_former_version(
    tmp_path_factory: pytest.TempPathFactory,
    moves: list[tuple[float | None, float | None, int | None]],
    num_former: int,
) -> None:
    store = open_store(f"file://{tmp_path_factory.mktemp('store')}")
    entries: list[Entry] = []
    for number, (unsafe, helps, back) in enumerate(moves, start=1):
        if back is not None and entries:
            entries.append(rollback(number, entries[back % len(entries)]))
        else:
            entries.append(release(number, unsafe=unsafe, helps=helps))
        if number <= num_former:
            written_by_a_former_version(store, entries[-1])
        else:
            channel.append(store, "stable", entries[-1])
    head = channel.head(store, "stable")
    standing = channel.standing(store, "stable", head)
    assert standing == standing_of(entries)
    assert standing["last_publish"] == max(one.number for one in entries if one.action == "publish")
    references = references_of(head, standing)
    assert {role: one["run_id"] for role, one in references.items()} == references_in_plain_words(entries)
    for one in entries:
        if one.action == "publish":
            found = channel.find_aligned(store, "stable", head, f"key{one.number}")
            assert found == channel.Aligned(one.run_id, one.number)
    assert channel.find_aligned(store, "stable", head, "never") is None


def test_a_rollback_publishes_nothing(store: Store) -> None:
    first = channel.append(store, "stable", release(1))
    channel.append(store, "stable", release(2))
    assert channel.append(store, "stable", rollback(3, first)).standing["last_publish"] == 2


def test_what_a_rollback_left_behind_is_still_aligned(store: Store) -> None:
    first = channel.append(store, "stable", release(1))
    channel.append(store, "stable", release(2))
    head = channel.append(store, "stable", rollback(3, first))
    assert channel.find_aligned(store, "stable", head, "key2") == channel.Aligned("run-2", 2)


def test_a_release_killed_between_its_entry_and_the_next_is_found_through_the_head(store: Store) -> None:
    head = channel.append(store, "stable", release(1))
    assert store.names("channels/stable/aligned") == []  # it gets there before another entry follows
    assert channel.find_aligned(store, "stable", head, "key1") == channel.Aligned("run-1", 1)


def test_an_entry_that_a_former_version_published_is_published(store: Store) -> None:
    written_by_a_former_version(store, release(1), release(2))
    assert channel.append(store, "stable", release(2)).run_id == "run-2"
    assert len(channel.history(store, "stable")) == 2


def test_publishing_again_after_others_have_followed_is_success(store: Store) -> None:
    for number in (1, 2, 3):
        channel.append(store, "stable", release(number))
    assert channel.append(store, "stable", release(1)).number == 1
    assert channel.head(store, "stable").number == 3
