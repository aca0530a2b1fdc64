"""Blobs in packs: whatever is put is found, whatever is removed is gone, and a kill in between loses nothing."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.artifacts import blobs as blobs_module
from spavl.artifacts import packs, reading_ahead
from spavl.artifacts.packs import Place, Places, blob_path, in_groups, make_pack
from spavl.artifacts.reading_ahead import ReadingAhead
from spavl.artifacts.store import Store, open_store
from spavl.errors import UserError


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(store: Store, *contents: bytes) -> list[str]:
    with store.packing() as packing:
        return [packing.put(content) for content in contents]


contents = st.lists(st.binary(max_size=40), max_size=12)


@settings(deadline=None)
@given(st.lists(contents, max_size=5))
def test_places_know_every_blob_of_packs_that_overlap(several: list[list[bytes]]) -> None:
    made = [make_pack({hashlib.sha256(c).digest(): c for c in group}) for group in several]
    joined = Places.joined([pack.places for pack in {pack.name: pack for pack in made}.values()])
    by_name = {pack.name: pack.content for pack in made}
    for content in {c for group in several for c in group}:
        found = joined.find(hashlib.sha256(content).digest())
        holders = {pack.name for pack, group in zip(made, several, strict=True) if content in group}
        assert {place.pack for place in found} == holders
        for place in found:
            assert by_name[place.pack][place.offset :][: place.num_bytes] == content
    assert joined.find(hashlib.sha256(b"x" * 41).digest()) == []
    distinct = {c for group in several for c in group}
    assert list(joined.blobs()) == sorted((hashlib.sha256(c).digest(), len(c)) for c in distinct)
    if made:
        left = joined.without([made[0].name])
        assert left.packs == tuple(name for name in joined.packs if name != made[0].name)
        assert {d for d, _ in left.blobs()} == {
            hashlib.sha256(c).digest()
            for pack, group in zip(made, several, strict=True)
            for c in group
            if pack.name != made[0].name
        }


@settings(deadline=None)
@given(contents)
def test_an_index_says_what_its_pack_holds(group: list[bytes]) -> None:
    pack = make_pack({hashlib.sha256(c).digest(): c for c in group})
    again = Places.from_index(pack.name, pack.places.to_index())
    assert again.of_pack(pack.name) == pack.places.of_pack(pack.name)
    assert len(again) == len(set(group))


def test_packs_with_the_same_bytes_cut_elsewhere_have_different_names() -> None:
    one, two = sorted([b"1", b"2"], key=lambda blob: hashlib.sha256(blob).digest())
    cut = [
        make_pack({hashlib.sha256(blob).digest(): blob for blob in group})
        for group in ([one, two], [one + two])
    ]
    assert cut[0].content == cut[1].content and cut[0].name != cut[1].name


def test_two_digests_that_begin_alike_are_told_apart() -> None:
    alike = [b"\x01" * 8 + bytes([last]) * 24 for last in (1, 2, 0xFF)]
    places = Places.of("p", alike, [10, 20, 30])
    assert [places.find(digest) for digest in alike] == [
        [Place("p", 0, 10)],
        [Place("p", 10, 20)],
        [Place("p", 30, 30)],
    ]
    assert places.find(b"\x01" * 32)[0].offset == 0 and places.find(b"\x01" * 8 + b"\x03" * 24) == []


@settings(deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(0, 12), max_size=20))
def test_groups_hold_each_pack_once_and_fit(sizes: dict[str, int]) -> None:
    groups = in_groups(sizes, most=10)
    assert [name for group in groups for name in group] == sorted(sizes)
    assert all(sum(sizes[name] for name in group) <= 10 or len(group) == 1 for group in groups)


PUT, LOOSE, REMOVE, COMPACT = "put", "loose", "remove", "compact"
steps = st.lists(
    st.tuples(st.sampled_from([PUT, PUT, LOOSE, REMOVE, COMPACT]), st.sets(st.integers(0, 15), max_size=6)),
    max_size=10,
)


@settings(max_examples=25, deadline=None)
@given(steps)
def test_the_store_holds_what_was_put_and_not_removed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, set[int]]]
) -> None:
    url = f"file://{tmp_path_factory.mktemp('blobs')}"
    content = [bytes([number]) * number for number in range(16)]
    reader, expected = open_store(url), set()
    for step, numbers in steps:
        store = open_store(url)  # each step in a process of its own
        chosen = {content[number] for number in numbers}
        if step == PUT:
            put(store, *chosen)
        elif step == LOOSE:
            for blob in chosen:
                store.put_blob(blob)
        elif step == REMOVE:
            assert store.remove_blobs([sha(blob) for blob in chosen]) == len(chosen & expected)
        else:
            store.compact_packs()
            assert len({path[:-5] for path in store.walk("packs") if path.endswith(".pack")}) <= 1
        expected = expected - chosen if step == REMOVE else expected | (chosen if step != COMPACT else set())
        assert sorted(store.blob_digests()) == sorted(sha(blob) for blob in expected)
        for blob in content:  # one who looked before all this
            if blob in expected:
                assert reader.get_blob(sha(blob)) == store.get_blob(sha(blob)) == blob
                assert list(reader.get_blobs([sha(blob)] * 2)) == [blob] * 2
            else:
                with pytest.raises(UserError, match="is not in the store"):
                    store.get_blob(sha(blob))


def test_blobs_are_in_the_store_when_the_context_ends_and_not_written_again(store_url: str) -> None:
    store = open_store(store_url)
    loose = store.put_blob(b"loose")
    digests = put(store, b"one", b"two", b"one", b"loose")
    assert digests == [sha(b"one"), sha(b"two"), sha(b"one"), loose]
    assert len(store.walk("packs")) == 2 and store.walk("blobs") == [blob_path(loose)]
    put(open_store(store_url), b"two", b"loose")
    assert open_store(store_url).put_blob(b"one") == digests[0]
    assert len(store.walk("packs")) == 2 and store.walk("blobs") == [blob_path(loose)]
    other = open_store(store_url)
    assert [other.get_blob(digest) for digest in digests] == [b"one", b"two", b"one", b"loose"]
    assert list(open_store(store_url).get_blobs(digests)) == [b"one", b"two", b"one", b"loose"]
    assert list(open_store(store_url).get_blobs([])) == []


def test_of_many_blobs_a_damaged_one_and_a_missing_one_are_named(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    digests = put(store, b"one", b"two")
    for missing in (sha(b"three"), "0123"):
        with pytest.raises(UserError, match=f"{missing} is not in the store"):
            list(store.get_blobs([*digests, missing]))
    (pack,) = tmp_path.glob("packs/*.pack")
    pack.write_bytes(pack.read_bytes().replace(b"two", b"tow"))
    with pytest.raises(UserError, match=f"{digests[1]} is damaged"):
        list(store.get_blobs(digests))


def test_a_pack_that_is_full_is_written_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs_module, "PACK_BYTES", 10)
    store = open_store(f"file://{tmp_path}")
    with store.packing() as packing:
        packing.put(b"123456")
        packing.put(b"7890")
        assert store.walk("packs") == []
        packing.put(b"x")
        assert len(store.walk("packs")) == 2
        packing.put(b"larger than a pack")
        assert len(store.walk("packs")) == 4
    assert len(store.walk("packs")) == 6


def test_an_error_inside_the_context_writes_nothing(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    with pytest.raises(ZeroDivisionError), store.packing() as packing:
        packing.put(b"1")
        raise ZeroDivisionError
    assert store.walk("") == []


def test_many_threads_put_and_read_at_once(store_url: str) -> None:
    store = open_store(store_url)
    blobs = [b"%d" % number for number in range(64)]
    read: list[bool] = []

    def work(mine: list[bytes]) -> None:
        for blob in mine:
            digest = packing.put(blob)
            read.append(store.get_blob(first) == b"first" and digest == sha(blob))

    (first,) = put(store, b"first")
    with store.packing() as packing:
        threads = [threading.Thread(target=work, args=(blobs[start::4],)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert read == [True] * 64
    assert set(open_store(store_url).blob_digests()) == {sha(blob) for blob in [*blobs, b"first"]}


def test_a_reader_finds_a_blob_whose_pack_was_replaced_meanwhile(store_url: str) -> None:
    store, other = open_store(store_url), open_store(store_url)
    (one, gone), (two,) = put(store, b"one", b"gone"), put(store, b"two")
    assert other.get_blob(two) == b"two"
    store.compact_packs()
    store.remove_blobs([gone])
    assert other.get_blob(one) == b"one"
    with pytest.raises(UserError, match="is not in the store"):
        open_store(store_url).get_blob(gone)


def test_a_reader_finds_a_blob_that_was_packed_after_it_looked(store_url: str) -> None:
    reader = open_store(store_url)
    put(open_store(store_url), b"one")
    assert reader.get_blob(sha(b"one")) == b"one"
    put(open_store(store_url), b"two")
    assert reader.get_blob(sha(b"two")) == b"two"


@pytest.mark.parametrize("damage", [lambda content: b"x" + content[1:], lambda content: content[:-1]])
def test_damaged_bytes_of_a_pack_are_noticed(store_url: str, damage) -> None:
    store = open_store(store_url)
    digests = sorted(put(store, b"one", b"two"), reverse=damage(b"ab") == b"a")
    path = next(path for path in store.walk("packs") if path.endswith(".pack"))
    store.write(path, damage(store.read(path)))
    with pytest.raises(UserError, match="is damaged"):
        open_store(store_url).get_blob(digests[0])
    with pytest.raises(UserError, match="is damaged"):
        open_store(store_url).remove_blobs([digests[1]])
    assert store.exists(path)


def test_a_damaged_index_is_no_empty_one(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    (digest,) = put(store, b"one")
    store.write(next(path for path in store.walk("packs") if path.endswith(".parquet")), b"PAR1")
    with pytest.raises(UserError, match="damaged: ArrowInvalid"):
        open_store(store.url).get_blob(digest)


KILLED = """
import os, signal, sys
import numpy, pyarrow.parquet
from spavl.artifacts import store as stores
action, *urls = sys.argv[1:]
def run(kill_at, url):
    store = stores.open_store(url)
    changes = 0
    def killing(name):
        real = getattr(store, name)
        def changed(*args):
            nonlocal changes
            changes += 1
            if changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*args)
        setattr(store, name, changed)
    killing("write")
    killing("remove_files")
    exec(action, {"store": store})
for kill_at, url in enumerate(urls, 1):
    if not (child := os.fork()):
        run(kill_at, url)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
WRITES = "with store.packing() as p:\n    p.put(b'new')\n"
REMOVES = (
    "import hashlib\nstore.remove_blobs([hashlib.sha256(b'gone').hexdigest()])\n"  # of a pack with two blobs
)
COMPACTS = "store.compact_packs()\n"


@pytest.mark.parametrize(("action", "num_changes"), [(WRITES, 2), (REMOVES, 6), (COMPACTS, 4)])
def test_killed_at_any_change_nothing_that_is_kept_is_lost_and_the_next_try_ends_the_work(
    tmp_path: Path, action: str, num_changes: int
) -> None:
    urls = [f"file://{tmp_path}/{kill_at}" for kill_at in range(1, num_changes + 2)]
    for url in urls:
        put(open_store(url), b"kept", b"gone")
        put(open_store(url), b"also kept")
    command = [sys.executable, "-c", KILLED, action, *urls]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ended.stdout.split() == [str(-signal.SIGKILL.value)] * num_changes + ["0"]
    for url in urls:
        kept = {sha(b"kept"), sha(b"also kept")}
        seen = set(open_store(url).blob_digests())
        assert kept <= seen <= kept | {sha(b"gone"), sha(b"new")}
        assert all(sha(open_store(url).get_blob(digest)) == digest for digest in seen)
        store = open_store(url)
        for name in store.names("packs"):  # what is left lying is as old as a day
            os.utime(store.local_path(f"packs/{name}"), (time.time() - 86400,) * 2)
        exec(action, {"store": store})
        store.remove_blobs([sha(b"nothing")])
        if action == REMOVES:
            held = b"".join(store.read(path) for path in store.walk("packs") if path.endswith(".pack"))
            assert b"gone" not in held
        found = packs.listed(store.walk("packs"))
        assert not found.without_index and not found.without_pack


def test_a_pack_whose_writer_may_still_be_at_work_is_left_alone(store_url: str) -> None:
    store = open_store(store_url)
    store.write(packs.pack_path("a" * 64), b"on its way")
    store.remove_blobs([sha(b"nothing")])
    assert store.exists(packs.pack_path("a" * 64)) and list(store.blob_digests()) == []
    assert store.blobs.uncommitted() == [packs.pack_path("a" * 64)]


class Source:
    """A pack of 1 kB blobs that counts what is asked of it."""

    def __init__(self, num_blobs: int) -> None:
        self.content = {name: os.urandom(num_blobs * 1024) for name in "abcd"}
        self.asked: list[int] = []

    def read_range(self, pack: str, offset: int, num_bytes: int) -> bytes:
        self.asked.append(num_bytes)
        return self.content[pack][offset : offset + num_bytes]

    def check(self, reader: ReadingAhead, pack: str, number: int) -> None:
        place = Place(pack, number * 1024, 1024)
        assert reader.read(place, 4) == self.content[pack][number * 1024 : (number + 1) * 1024]


def test_blobs_in_the_order_of_a_pack_cost_few_requests() -> None:
    source = Source(16 * 1024)
    reader = ReadingAhead(source.read_range)
    for number in range(16 * 1024):
        source.check(reader, "a", number)
    assert source.asked == [2**20, 2**21, 2**22, 2**23, 2**23]  # 16 MB


def test_packs_read_in_turns_keep_their_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(1024)
    reader = ReadingAhead(source.read_range)
    for number in range(1024):
        for pack in "abcd":
            source.check(reader, pack, number)
    assert len(source.asked) == 4


def test_blobs_in_no_order_cost_few_bytes() -> None:
    source = Source(16 * 1024)
    reader = ReadingAhead(source.read_range)
    numbers = random.Random(0).sample(range(16 * 1024), 200)
    for number in numbers:
        source.check(reader, "a", number)
    assert source.asked[:6] == [2**20, 2**19, 2**18, 2**17, 2**16, 2**16] and set(source.asked[5:]) == {2**16}


def test_windows_never_have_more_bytes_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_ahead, "CACHE_BYTES", 2**21)
    source = Source(4096)
    reader = ReadingAhead(source.read_range)
    for number in range(0, 4096, 3):
        for pack in "abcd":
            source.check(reader, pack, number)
            assert sum(len(window.content) for window in reader._windows.values()) == reader._num_bytes
            assert reader._num_bytes <= 2**21
