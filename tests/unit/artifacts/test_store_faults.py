"""An unanswered question is never "not there": each operation under each fault, over real sockets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.s3_proxy import S3Proxy

from spavl.artifacts import channel, failure, lease, s3_requests
from spavl.artifacts.faults import StoreRefused
from spavl.artifacts.record import read_record
from spavl.artifacts.store import Store, open_store
from spavl.errors import EXIT_USER, TryAgain, UserError


def packed(store: Store, content: bytes) -> str:
    with store.packing() as packing:
        return packing.put(content)


@dataclass(frozen=True)
class Filled:
    """What is there before anything fails: the file `there`, a folder, a loose blob and a packed one."""

    local: Path  # a folder with the file `weights`
    manifest: dict[str, dict[str, object]]
    loose: str
    packed: str


def fill(store: Store, local: Path) -> Filled:
    local.mkdir(exist_ok=True)
    (local / "weights").write_bytes(bytes(range(256)) * 100)
    store.write("there", b"content")
    return Filled(local, store.upload(local, "folder"), store.put_blob(b"loose"), packed(store, b"packed"))


def operations(store: Store, filled: Filled, folder: Path) -> dict[str, Callable[[], object]]:
    """Each with the answer that it gives when all is well (see `ANSWERS`)."""
    return {
        "read": lambda: store.read("there"),
        "read_range": lambda: store.read_range("there", 3, 2),
        "read_many": lambda: list(store.read_many(["there", "there"])),
        "exists": lambda: store.exists("there"),
        "exists, absent": lambda: store.exists("absent"),
        "size": lambda: store.size("there"),
        "names": lambda: store.names("blobs"),
        "walk": lambda: len(store.walk("blobs")),
        "write": lambda: store.write("written", b"1"),
        "create": lambda: store.create("created", b"1"),
        "copy": lambda: store.copy("there", "copied"),
        "upload": lambda: store.upload(filled.local, "again"),
        "download": lambda: (store.download("folder", folder, filled.manifest) / "weights").read_bytes(),
        "sha256_of": lambda: store.sha256_of("folder/weights"),
        "put_blob": lambda: store.put_blob(b"loose"),
        "get_blob": lambda: store.get_blob(filled.loose),
        "get_blob, packed": lambda: store.get_blob(filled.packed),
        "packing": lambda: packed(store, b"new"),
        "blob_digests": lambda: set(store.blob_digests()) >= {filled.loose, filled.packed},
        "compact_packs": lambda: store.compact_packs() >= 0,
        "head of a channel": lambda: channel.head(store, "stable"),
        "record": lambda: read_record(store, "20260101-aaaaaaaaaa", "images"),
        "failure": lambda: failure.read(store, "20260101-aaaaaaaaaa", "images"),
        "lease": lambda: lease.acquire(store, f"unit-{time.monotonic_ns()}").release(),
        "remove_blobs": lambda: store.remove_blobs([filled.packed]),
        "remove_files": lambda: store.remove_files(["there"]),
        "remove": lambda: store.remove("folder"),
    }


NAMES = list(operations(None, None, None))  # type: ignore[arg-type]
EXPECTED = {
    "SlowDown": (TryAgain, r"does not answer.*(SlowDown|503)"),
    "InternalError": (TryAgain, r"does not answer.*(InternalError|500)"),
    "AccessDenied": (TryAgain, "access is denied"),
    "ExpiredToken": (TryAgain, "the credentials have expired"),
    "InvalidAccessKeyId": (TryAgain, "the credentials have expired or are not valid"),
    "NoSuchBucket": (StoreRefused, "bucket .* does not exist"),
    "a proxy's 404": (TryAgain, "does not answer"),
    "cut": (TryAgain, "does not answer"),
}


@pytest.fixture
def filled(proxy: S3Proxy, s3_url: str, tmp_path: Path) -> tuple[Store, Filled]:
    """A store that was filled by another process: what it knows, it must ask."""
    return open_store(s3_url), fill(open_store(s3_url), tmp_path / "local")


def prefix_of(store: Store) -> str:
    return store.url.rpartition("/")[2]


@pytest.mark.parametrize("fault", EXPECTED)
def test_no_operation_takes_a_fault_for_an_absence(
    filled: tuple[Store, Filled], proxy: S3Proxy, tmp_path: Path, fault: str
) -> None:
    store, content = filled
    proxy.fail(prefix_of(store), fault)
    kind, words = EXPECTED[fault]
    for name, operation in operations(store, content, tmp_path).items():
        with pytest.raises(kind, match=words) as caught:
            operation()
        assert caught.value.next_step, name
    proxy.heal(prefix_of(store))
    assert store.read("there") == b"content" and store.get_blob(content.packed) == b"packed"


@pytest.mark.parametrize(("fault", "num_times"), [("SlowDown", 2), ("InternalError", 1), ("cut", 1)])
def test_every_operation_succeeds_after_a_passing_fault(
    proxy: S3Proxy,
    s3_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    num_times: int,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")

    def answer(name: str) -> object:
        store = open_store(f"{s3_url}/{NAMES.index(name)}/x")
        content = fill(open_store(store.url), tmp_path / "local")
        healthy = operations(open_store(store.url), content, tmp_path / name)
        place = f"{prefix_of(open_store(s3_url))}/{NAMES.index(name)}/"
        if name not in ("remove", "remove_files", "remove_blobs", "blob_digests", "compact_packs", "packing"):
            expected = healthy[name]()
        else:
            expected = {"remove_blobs": 1, "blob_digests": True, "compact_packs": True}.get(name)
        proxy.fail(place, fault, num_times)
        seen = operations(store, content, tmp_path / f"again {name}")[name]()
        return name, (seen == expected or name == "packing")

    with ThreadPoolExecutor(len(NAMES)) as pool:
        assert dict(pool.map(answer, NAMES)) == dict.fromkeys(NAMES, True)


def test_a_reply_that_breaks_off_is_asked_for_again(
    filled: tuple[Store, Filled],
    proxy: S3Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, content = filled
    ask = operations(store, content, tmp_path)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")  # a listing is read whole, so botocore asks again for it
    for name in ("read", "read_range", "names", "sha256_of", "download", "get_blob", "get_blob, packed"):
        expected = ask[name]()
        proxy.fail(prefix_of(store), "cut in the body", times=2)
        assert operations(open_store(store.url), content, tmp_path)[name]() == expected, name
    proxy.fail(prefix_of(store), "cut in the body")
    for name in ("read", "names", "download", "get_blob, packed"):
        with pytest.raises(TryAgain, match="does not answer"):
            operations(open_store(store.url), content, tmp_path)[name]()


def test_a_silent_server_is_given_up(
    filled: tuple[Store, Filled],
    proxy: S3Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPAVL_S3_TIMEOUT_S", "0.1")
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")  # the tries of a night, which are bounded together
    store = open_store(filled[0].url)
    proxy.fail(prefix_of(store), "silence")
    for name in (
        "read",
        "exists",
        "names",
        "write",
        "create",
        "remove_files",
        "download",
        "get_blob, packed",
    ):
        with pytest.raises(TryAgain, match=r"no answer in 0\.3"):
            operations(store, filled[1], tmp_path)[name]()
    proxy.heal(prefix_of(store))
    assert operations(store, filled[1], tmp_path)["read"]() == b"content"


def test_a_night_waits_20_seconds_for_a_silent_server_and_a_minute_in_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert s3_requests._config()["read_timeout"] == 20
    assert s3_requests._total_s("get_object", 0) == 60
    assert s3_requests._total_s("put_object", 90 * 2**20) == 150
    assert s3_requests._total_s("copy_object", 0) == 300
    for text in ("0", "-1", "soon", "nan", "inf"):
        monkeypatch.setenv("SPAVL_S3_TIMEOUT_S", text)
        with pytest.raises(UserError, match=f"SPAVL_S3_TIMEOUT_S is '{text}'"):
            open_store("s3://spavl-tests/x")


def test_slow_is_not_silent(
    proxy: S3Proxy, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAVL_S3_TIMEOUT_S", "1")
    store, content = open_store(s3_url), bytes(30 * 2**20)  # 2.2 s each way
    proxy.fail(prefix_of(store), "slow")
    store.write("large", content)
    assert store.read("large") == content
    assert store.fetch("large", tmp_path / "large").stat().st_size == len(content)
    proxy.heal(prefix_of(store))


def test_a_server_that_copies_long_before_it_answers_is_waited_for(
    filled: tuple[Store, Filled], proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAVL_S3_TIMEOUT_S", "0.2")
    store = open_store(filled[0].url)
    proxy.fail(prefix_of(store), "late", kinds=("COPY",))
    store.copy("there", "copied")
    proxy.heal(prefix_of(store))
    assert store.read("copied") == b"content"


def test_an_empty_page_of_another_server_is_no_empty_listing(
    filled: tuple[Store, Filled], proxy: S3Proxy
) -> None:
    store = filled[0]
    proxy.fail(prefix_of(store), "a proxy's 200")
    for ask in (store.names, store.walk):
        with pytest.raises(TryAgain, match=r"no S3 server|does not answer"):
            ask("blobs")


@pytest.mark.parametrize("code", ["AccessDenied", "InternalError", "SlowDown"])
def test_a_name_that_s3_would_not_delete_is_no_deleted_one(
    filled: tuple[Store, Filled], proxy: S3Proxy, code: str
) -> None:
    store = filled[0]
    proxy.fail(prefix_of(store), f"refuses a name: {code}", kinds=("DELETE",))
    with pytest.raises(TryAgain, match=code):
        store.remove_files(["there"])
    proxy.fail(prefix_of(store), "refuses a name: InternalError", times=2, kinds=("DELETE",))
    store.remove_files(["there"])
    assert not store.exists("there")


def test_what_a_store_refuses_is_no_fault_of_one_file_or_run() -> None:
    assert not issubclass(StoreRefused, UserError | TryAgain) and StoreRefused.exit_code == EXIT_USER


def test_a_bucket_that_does_not_exist_has_no_absent_files(s3_url: str) -> None:
    store = open_store("s3://spavl-tests-without-a-bucket/x")
    for ask in (store.exists, store.size, store.read, store.names, store.walk, store.remove):
        with pytest.raises(StoreRefused, match=r"bucket .* does not exist"):
            ask("absent")


def test_a_missing_name_without_the_right_to_list_is_not_allowed_rather_than_absent(
    filled: tuple[Store, Filled], proxy: S3Proxy
) -> None:
    store = filled[0]
    proxy.fail(f"{prefix_of(store)}/absent", "AccessDenied")  # what S3 says without s3:ListBucket
    for ask in (store.exists, store.size, store.read):
        with pytest.raises(TryAgain, match="access is denied"):
            ask("absent")


@pytest.mark.parametrize("ending", [".pack", ".parquet"])
def test_a_pack_that_is_listed_and_cannot_be_had_is_no_missing_blob(
    filled: tuple[Store, Filled], proxy: S3Proxy, ending: str
) -> None:
    store, content = filled
    proxy.fail(ending, "NoSuchKey", kinds=("GET",))
    with pytest.raises(TryAgain, match="are being rewritten"):
        store.get_blob(content.packed)
    proxy.heal(ending)
    assert store.get_blob(content.packed) == b"packed"


def test_two_writers_at_the_same_moment_are_asked_to_come_again(
    filled: tuple[Store, Filled], proxy: S3Proxy
) -> None:
    store = filled[0]
    proxy.fail(f"{prefix_of(store)}/entry", "ConditionalRequestConflict", times=2)
    assert store.create("entry", b"mine") and not store.create("entry", b"theirs")


def test_what_is_too_large_to_copy_at_once_is_copied_in_pieces(
    filled: tuple[Store, Filled], proxy: S3Proxy
) -> None:
    store = filled[0]
    proxy.fail(f"{prefix_of(store)}/large", "InvalidRequest", times=1)  # S3's word above 5 GB
    before = dict(store.requests)
    store.copy("there", "large")
    assert store.read("large") == b"content"
    assert store.requests["COPY"] - before.get("COPY", 0) == 2


def test_new_credentials_are_looked_for_after_a_refusal(filled: tuple[Store, Filled], proxy: S3Proxy) -> None:
    store = filled[0]
    proxy.fail(prefix_of(store), "ExpiredToken", times=1)
    with pytest.raises(TryAgain, match="Renew them"):
        store.read("there")
    renewed = open_store(store.url)
    assert renewed._backend._s3.fs is not store._backend._s3.fs and renewed.read("there") == b"content"


def test_a_store_without_credentials_says_which_to_set(
    s3_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(TryAgain, match=r"no credentials.*AWS_ACCESS_KEY_ID"):
        open_store(s3_url).names("")


@pytest.mark.skipif(
    os.geteuid() == 0, reason="root may read everywhere, so a folder without rights cannot be shown"
)
def test_a_folder_that_may_not_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    store.write("a/b/c", b"1")
    (tmp_path / "a").chmod(0)
    try:
        for ask in (store.names, store.walk, store.exists, store.size, store.read):
            with pytest.raises(TryAgain, match="cannot be used"):
                ask("a/b")
        for path in ("a", ""):
            with pytest.raises(TryAgain, match="cannot be used"):
                store.walk(path)
    finally:
        (tmp_path / "a").chmod(0o700)


def test_a_disk_error_is_not_an_absence(tmp_path: Path) -> None:
    # /proc/<pid>/mem gives a real EIO to whoever reads its first page
    store = open_store(f"file:///proc/{os.getpid()}")
    with pytest.raises(TryAgain, match=r"cannot be used.*Input/output error"):
        store.read_range("mem", 0, 10)
