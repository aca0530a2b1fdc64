"""A source's folder on disk and on S3: one listing, fingerprints that notice a rewrite, and outages that are no quarantine."""

import os

import fsspec
import pytest
from tests.stage_context import FakeContext, run_stage
from tests.unit.images.picture_files import encoded

from spavl.artifacts.faults import StoreRefused
from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import TryAgain
from spavl.stages.images import stage
from spavl.stages.images.folder import SourceFolder
from spavl.stages.images.quarantine import Rejected


def test_disk_and_s3_give_the_same_images_and_reasons(store_url):
    store = open_store(store_url)
    for name, content in {
        "a b[1].png": encoded(1),
        "sub/b.jpg": encoded(2, "JPEG"),
        "empty.png": b"",
        "t.csv": b"words",
    }.items():
        filesystem, root = fsspec.core.url_to_fs(f"{store_url}/in")
        filesystem.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
        filesystem.pipe_file(f"{root}/{name}", content)
    source = {"name": "drawn", "url": f"{store_url}/in", "licence": "MIT", "default_class": "theft"}
    ctx = FakeContext(Config(profile="test", images={"sources": [source]}), store, "images")
    sealed = run_stage(stage, ctx)
    assert [image.source_key for image in sealed.rows] == ["a b[1].png", "sub/b.jpg"]
    reasons = {row.source_key: row.reason for row in sealed.side_tables["quarantine"]}
    assert reasons == {"empty.png": "empty_file", "t.csv": "not_an_image"}
    assert all(ctx.store.get_blob(image.id) for image in sealed.rows)


def test_rewritten_file_has_another_fingerprint_and_an_untouched_one_the_same(store_url):
    store = open_store(store_url)
    folder = SourceFolder("drawn", f"{store_url}/in")
    store.write("in/a.png", b"one")
    store.write("in/b.png", b"one")
    before = folder.listing()
    store.write("in/a.png", b"two")
    after = folder.listing()
    assert list(after) == ["a.png", "b.png"]
    assert after["a.png"].fingerprint != before["a.png"].fingerprint
    assert after["b.png"] == before["b.png"]


def test_fingerprint_notices_a_rewrite_that_keeps_size_and_modification_time(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    folder = SourceFolder("drawn", str(tmp_path))
    before, times = folder.listing()["a.png"], path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert folder.listing()["a.png"].fingerprint != before.fingerprint


def test_fingerprint_of_a_link_follows_its_target(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "link.png").symlink_to("a.png")
    folder = SourceFolder("drawn", str(tmp_path))
    before = folder.listing()["link.png"].fingerprint
    (tmp_path / "a.png").write_bytes(b"more")
    assert folder.listing()["link.png"].fingerprint != before


def test_missing_bucket_is_told(s3_url):
    with pytest.raises(StoreRefused, match="does not exist"):
        SourceFolder("drawn", "s3://no-such-bucket-here/in").listing()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("cut", r"does not answer|cannot be used"),
        ("ExpiredToken", "credentials have expired"),
        ("AccessDenied", "access is denied"),
    ],
)
def test_storage_that_does_not_answer_stops_the_night_and_quarantines_nothing(proxy, s3_url, fault, words):
    folder = SourceFolder("drawn", f"{s3_url}/in")
    proxy.fail(s3_url.rpartition("/")[2], fault)
    with pytest.raises(TryAgain, match=words):
        folder.listing()
    with pytest.raises(TryAgain, match=words):
        folder.read("a.png")


def test_a_file_on_s3_is_read_with_one_request_and_its_absence_is_told(proxy, s3_url):
    open_store(s3_url).write("in/a.png", b"one")
    folder = SourceFolder("drawn", f"{s3_url}/in")
    before = proxy.received.get("GET", 0), proxy.received.get("HEAD", 0)
    assert folder.read("a.png") == b"one"
    assert (proxy.received["GET"] - before[0], proxy.received.get("HEAD", 0) - before[1]) == (1, 0)
    with pytest.raises(Rejected) as caught:
        folder.read("gone.png")
    assert caught.value.reason == "missing_file"


def test_file_that_may_not_be_read_is_quarantined_on_disk(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded(1))
    source = {"name": "drawn", "url": str(tmp_path), "licence": "MIT", "default_class": "theft"}
    config = Config(profile="test", images={"sources": [source]})
    # root may read everything, so that a mode alone would not show it
    filesystem = fsspec.filesystem("file")
    monkeypatch.setattr(
        type(filesystem), "cat_file", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied"))
    )
    ctx = FakeContext(config, open_store(f"file://{tmp_path}-store"), "images")
    (row,) = run_stage(stage, ctx).side_tables["quarantine"]
    assert (row.reason, row.detail) == ("unreadable", "permission denied")
