from spavl.artifacts import channel, decisions
from spavl.artifacts.store import open_store


def test_each_run_takes_the_next_number_and_keeps_it_when_it_is_started_again(tmp_path):
    store = open_store(f"file://{tmp_path}")
    assert decisions.next_number(store, "stable", 0) == 1
    assert [decisions.take_number(store, "stable", 0, run) for run in ("a", "b", "a", "c", "b")] == [
        1,
        2,
        1,
        3,
        2,
    ]
    assert decisions.next_number(store, "stable", 0) == 4


def test_the_count_starts_again_with_the_next_release_and_is_of_one_channel(tmp_path):
    store = open_store(f"file://{tmp_path}")
    decisions.take_number(store, "stable", 0, "a")
    decisions.take_number(store, "stable", 0, "b")
    assert decisions.take_number(store, "stable", 1, "c") == 1
    assert decisions.take_number(store, "nightly", 0, "d") == 1


def test_decisions_are_no_entries_of_their_channel(tmp_path):
    store = open_store(f"file://{tmp_path}")
    decisions.take_number(store, "stable", 0, "a")
    assert channel.history(store, "stable") == [] and channel.head(store, "stable") is None
