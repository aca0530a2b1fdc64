"""The store keeps its promises on disk and on S3 alike."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from spavl.artifacts.store import open_store
from spavl.errors import TryAgain, UserError


def test_what_is_written_is_read_back(store_url: str) -> None:
    store = open_store(store_url)
    store.write("runs/a/plan.json", b"one")
    store.write("runs/a/plan.json", b"two")
    assert store.read("runs/a/plan.json") == b"two"
    assert store.exists("runs/a/plan.json") and not store.exists("runs/a") and not store.exists("runs/b")
    assert store.size("runs/a/plan.json") == 3


def test_a_missing_file_is_file_not_found(store_url: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_store(store_url).read("nothing/here")


def test_finished_files_are_uploaded_without_being_read(store_url: str, tmp_path: Path) -> None:
    store, local = open_store(store_url), tmp_path / "local"
    local.mkdir()
    (local / "part").write_bytes(b"large")
    (local / "card").write_bytes(b"small")
    of_card = store.upload(local, "first")["card"]
    for _ in range(2):
        assert store.upload(local, "folder", {"part": "its sha256"}) == {
            "part": {"sha256": "its sha256", "num_bytes": 5},
            "card": of_card,
        }
    assert store.walk("folder") == ["folder/card", "folder/part"]
    if there := store.local_path("folder/part"):
        assert there.samefile(local / "part")
        assert not store.local_path("folder/card").samefile(local / "card")
    (local / "part").unlink()
    assert store.read("folder/part") == b"large"


def test_create_happens_once(store_url: str) -> None:
    store = open_store(store_url)
    assert store.create("channels/stable/000001.json", b"mine")
    assert not store.create("channels/stable/000001.json", b"theirs")
    assert store.read("channels/stable/000001.json") == b"mine"


def test_create_again_with_the_same_content_is_success(store_url: str) -> None:
    store = open_store(store_url)
    assert store.create("a/b", b"same") and store.create("a/b", b"same")


def test_of_many_writers_one_wins(store_url: str) -> None:
    store = open_store(store_url)
    wins: list[int] = []
    barrier = threading.Barrier(8)

    def race(number: int) -> None:
        barrier.wait()
        if store.create("race", str(number).encode()):
            wins.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1 and store.read("race") == str(wins[0]).encode()


def test_names_and_walk_see_what_another_client_has_just_written(store_url: str) -> None:
    reader, writer = open_store(store_url), open_store(store_url)
    assert reader.names("runs") == [] and reader.walk("runs") == []
    writer.write("runs/x/a.json", b"1")
    writer.write("runs/y/b/c.json", b"2")
    assert reader.names("runs") == ["x", "y"]
    assert reader.walk("runs") == ["runs/x/a.json", "runs/y/b/c.json"]
    writer.remove("runs/x")
    assert reader.names("runs") == ["y"]


def test_a_blob_is_named_by_its_bytes_and_checked_when_read(store_url: str) -> None:
    store = open_store(store_url)
    digest = store.put_blob(b"picture")
    assert store.get_blob(digest) == b"picture" and store.put_blob(b"picture") == digest
    store.write(f"blobs/{digest[:2]}/{digest}", b"tampered")
    with pytest.raises(UserError, match="damaged"):
        store.get_blob(digest)


def test_a_folder_survives_the_round_trip_and_a_damaged_file_is_noticed(store_url: str, tmp_path) -> None:
    store = open_store(store_url)
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "sub" / "weights").write_bytes(b"123")
    manifest = store.upload(folder, "runs/r/training/model")
    copy = store.download("runs/r/training/model", tmp_path / "copy", manifest)
    assert (copy / "sub" / "weights").read_bytes() == b"123" and set(manifest) == {
        "config.json",
        "sub/weights",
    }
    store.write("runs/r/training/model/config.json", b"[]")
    with pytest.raises(UserError, match="damaged"):
        store.download("runs/r/training/model", tmp_path / "again", manifest)


@pytest.mark.parametrize("path", ["../secrets", "a/../../b", "/etc/passwd", "a//b", "a b", "", "a/..", "ü"])
def test_a_path_that_climbs_out_is_refused(tmp_path, path: str) -> None:
    with pytest.raises(UserError, match="safe path"):
        open_store(f"file://{tmp_path}").write(path, b"x")


def test_a_file_under_its_name_is_always_whole(tmp_path) -> None:
    store = open_store(f"file://{tmp_path}")
    sizes: set[int] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            if (tmp_path / "f").exists():
                sizes.add(len(store.read("f")))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        store.write("f", b"x" * 300_000)
        store.write("f", b"y" * 500_000)
    stop.set()
    reader.join()
    assert sizes <= {300_000, 500_000} and sizes


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="needs /dev/full, a Linux device that is always out of space"
)
def test_a_full_disk_says_so_and_says_nothing_is_lost(tmp_path, monkeypatch) -> None:
    import builtins

    store = open_store(f"file://{tmp_path}")
    real_open = builtins.open
    # the seam here is the operating system: /dev/full gives the real ENOSPC
    monkeypatch.setattr(
        builtins,
        "open",
        lambda path, mode="r", **rest: (
            real_open("/dev/full", "wb", buffering=0) if mode == "xb" else real_open(path, mode, **rest)
        ),
    )
    with pytest.raises(TryAgain, match="No space left") as caught:
        store.write("runs/r/x", b"content")
    assert "nothing is lost" in str(caught.value)


@pytest.mark.skipif(
    os.geteuid() == 0, reason="root may write everywhere, so a read-only folder cannot be shown"
)
def test_a_read_only_store_says_so(tmp_path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TryAgain, match="cannot be used"):
        open_store(f"file://{tmp_path}").write("runs/r/x", b"content")


def test_a_store_that_went_away_says_try_again(s3_url: str, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    store = open_store(s3_url)
    with pytest.raises(TryAgain, match=r"does not answer|cannot be used"):
        store.write("a", b"b")
    s3fs.S3FileSystem.clear_instance_cache()
