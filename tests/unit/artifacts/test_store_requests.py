"""What the store asks of S3, counted where it arrives."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.s3_proxy import S3Proxy

from spavl.artifacts import channel, lease, s3
from spavl.artifacts.packs import blob_path
from spavl.artifacts.store import Store, open_store


class Counted:
    """Runs operations and says what they asked; the store and the server must agree."""

    def __init__(self, proxy: S3Proxy, store: Store) -> None:
        self._proxy, self.store = proxy, store

    def __call__(self, operation: Callable[[], object]) -> dict[str, int]:
        before, seen = dict(self.store.requests), self._proxy.received
        operation()
        sent = {kind: count - before.get(kind, 0) for kind, count in self.store.requests.items()}
        received = {kind: count - seen.get(kind, 0) for kind, count in self._proxy.received.items()}
        sent, received = ({kind: n for kind, n in counts.items() if n} for counts in (sent, received))
        assert sent == received
        return sent


@pytest.fixture
def counted(proxy: S3Proxy, s3_url: str) -> Counted:
    return Counted(proxy, open_store(s3_url))


def test_each_operation_is_one_request(counted: Counted) -> None:
    store = counted.store
    assert counted(lambda: store.write("a/one", b"1")) == {"PUT": 1}
    assert counted(lambda: store.create("a/two", b"22")) == {"PUT": 1}
    assert counted(lambda: store.read("a/one")) == {"GET": 1}
    assert counted(lambda: store.read_range("a/two", 1, 5)) == {"GET": 1}
    assert counted(lambda: store.exists("a/one")) == {"HEAD": 1}
    assert counted(lambda: store.exists("a/three")) == {"HEAD": 1}
    assert counted(lambda: store.size("a/two")) == {"HEAD": 1}
    assert counted(lambda: store.names("a")) == {"LIST": 1}
    assert counted(lambda: store.walk("")) == {"LIST": 1}
    assert counted(lambda: store.sizes("a")) == {"LIST": 1}
    assert counted(lambda: store.copy("a/one", "a/three")) == {"COPY": 1}
    assert counted(lambda: store.sha256_of("a/three")) == {"GET": 1}
    assert counted(lambda: store.remove_files(["a/one", "a/two"])) == {"DELETE": 1}
    assert counted(lambda: store.remove("a")) == {"LIST": 1, "DELETE": 1}
    assert store.walk("") == []


def test_a_first_question_about_an_absent_name_also_learns_whether_the_bucket_is_there(
    counted: Counted,
) -> None:
    assert counted(lambda: counted.store.exists("absent")) == {"HEAD": 1, "GET": 1}
    assert counted(lambda: counted.store.exists("absent")) == {"HEAD": 1}


def test_a_name_that_is_taken_costs_one_more_request_to_see_by_whom(counted: Counted) -> None:
    counted.store.write("a", b"1")
    assert counted(lambda: counted.store.create("a", b"1")) == {"PUT": 1, "GET": 1}
    assert counted(lambda: counted.store.create("a", b"2")) == {"PUT": 1, "GET": 1}


def test_a_listing_is_one_request_a_page_and_so_is_removing_the_names(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # the server's 1,000
    monkeypatch.setattr(s3, "NAMES_PER_DELETE", 10)
    store = counted.store
    paths = [f"many/{number:04d}" for number in range(11)]
    for path in paths:
        store.write(path, b"x")
    assert counted(lambda: store.names("many")) == {"LIST": 2} and store.walk("many") == paths
    assert counted(lambda: store.remove_files(paths)) == {"DELETE": 2}
    assert store.names("many") == []


def test_a_folder_is_one_request_a_file_each_way(counted: Counted, tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / str(number)).write_bytes(b"x" * number)
    manifest = counted.store.upload(tmp_path, "folder")
    assert counted(lambda: counted.store.upload(tmp_path, "folder")) == {"PUT": 10}
    assert counted(lambda: counted.store.download("folder", tmp_path / "copy", manifest)) == {"GET": 10}


def test_many_files_are_read_in_order_with_one_request_each(counted: Counted) -> None:
    for number in range(20):
        counted.store.write(f"n/{number}", b"%d" % number)
    read: list[bytes] = []
    paths = [f"n/{number}" for number in range(20)]
    assert counted(lambda: read.extend(counted.store.read_many(paths))) == {"GET": 20}
    assert read == [b"%d" % number for number in range(20)]


def test_blobs_in_packs_are_written_and_read_by_the_pack(counted: Counted, s3_url: str) -> None:
    blobs = [random.Random(number).randbytes(2000) for number in range(1000)]
    digests: list[str] = []

    def put() -> None:
        for start in range(0, 1000, 250):
            with counted.store.packing() as packing:
                digests.extend(packing.put(blob) for blob in blobs[start : start + 250])

    assert counted(put) == {"LIST": 2, "PUT": 8}  # what is there, then 4 packs and 4 indexes
    assert counted(put) == {}
    assert counted(lambda: counted.store.compact_packs()) == {"LIST": 1, "GET": 4, "PUT": 2, "DELETE": 2}
    counted.store = open_store(s3_url)
    # the list of packs, an index, and windows of 1 MB and what is left of 2 MB
    assert counted(lambda: [counted.store.get_blob(digest) for digest in sorted(digests)]) == {
        "LIST": 1,
        "GET": 3,
    }


def test_a_blob_of_its_own_is_one_request_each_way(counted: Counted) -> None:
    assert counted(lambda: counted.store.put_blob(b"picture")) == {"LIST": 1, "PUT": 1}
    assert counted(lambda: counted.store.put_blob(b"another")) == {"PUT": 1}
    digest = counted.store.put_blob(b"picture")
    assert counted(lambda: counted.store.get_blob(digest)) == {"GET": 1}
    assert counted.store.exists(blob_path(digest))


def test_a_large_file_goes_in_pieces_of_32_mb(counted: Counted, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(bytes(65 * 2**20))
    assert counted(lambda: counted.store.upload(tmp_path, "w")) == {"PUT": 5}  # begin, three pieces, end
    assert counted.store.size("w/weights") == 65 * 2**20


def test_two_stores_that_share_connections_count_their_own(proxy: S3Proxy, s3_url: str) -> None:
    one, two = open_store(s3_url), open_store(s3_url)
    one.write("a", b"1")
    two.names("")
    assert (dict(one.requests), dict(two.requests)) == ({"PUT": 1}, {"LIST": 1})


def test_a_disk_asks_for_nothing(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    store.write("a", b"1")
    assert dict(store.requests) == {}


def test_a_lease_and_a_channel_ask_no_more_than_they_must(counted: Counted) -> None:
    def hold() -> None:
        with lease.lease(counted.store, "unit"):
            pass

    assert counted(hold) == {"LIST": 1, "PUT": 1, "DELETE": 1}
    entry = channel.Entry(1, 0, "publish", "r", "release", "f", "2026-01-01")
    assert counted(lambda: channel.append(counted.store, "stable", entry)) == {"PUT": 1}
    assert counted(lambda: channel.head(counted.store, "stable")) == {"LIST": 1, "GET": 1}
