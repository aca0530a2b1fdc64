"""The feature cache: exact bytes back, never more than the budget, the least recently used goes, threads may share it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from spavl.learning.feature_cache import FeatureCache

KB = 1024
THREE = 4 * KB - 1  # room for three entries of 1 KB, whether or not each has a file's header


@pytest.fixture(params=["memory", "folder"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "features" if request.param == "folder" else None


def features(seed: int, num_bytes: int = KB) -> dict[str, torch.Tensor]:
    drawn = torch.randint(0, 256, (num_bytes,), generator=torch.Generator().manual_seed(seed))
    return {"projector": drawn.to(torch.uint8)}


def bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_hit_gives_the_stored_bytes(folder: Path | None, dtype: torch.dtype) -> None:
    cache = FeatureCache(100 * KB, folder)
    put = {"projector": torch.randn(3, 5, 7).to(dtype), "deepstack_0": torch.randn(2, 4).to(dtype)}
    put["projector"][0, 0, 0] = float("nan")
    cache.put("star", put)
    got = cache.get("star")
    assert got.keys() == put.keys()
    for name in put:
        assert got[name].dtype == dtype
        assert got[name].shape == put[name].shape
        # compared as bytes: a NaN is not equal to itself
        assert torch.equal(got[name].contiguous().view(torch.uint8), put[name].contiguous().view(torch.uint8))


def test_what_was_not_put_is_a_miss(folder: Path | None) -> None:
    cache = FeatureCache(100 * KB, folder)
    assert cache.get("star") is None
    cache.put("star", features(0))
    cache.get("star")
    cache.get("star")
    assert (cache.counts.hits, cache.counts.misses, cache.counts.entries) == (2, 1, 1)


def test_the_least_recently_used_goes(folder: Path | None) -> None:
    cache = FeatureCache(THREE, folder)
    for number, key in enumerate("abc"):
        cache.put(key, features(number))
    cache.get("a")
    cache.put("d", features(3))
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    assert cache.counts.evicted == 1


def test_a_key_put_again_counts_as_used(folder: Path | None) -> None:
    cache = FeatureCache(THREE, folder)
    for number, key in enumerate("abcad"):
        cache.put(key, features(number))
    assert cache.get("a") is not None
    assert cache.get("b") is None
    assert torch.equal(cache.get("a")["projector"], features(0)["projector"])


def test_no_more_than_the_budget_is_held_at_any_time(folder: Path | None) -> None:
    cache = FeatureCache(10 * KB, folder)
    sizes = torch.randint(1, 4 * KB, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    for number, size in enumerate(sizes):
        cache.put(f"{number:03d}", features(number, size))
        assert 0 < cache.counts.bytes <= 10 * KB
        if folder is not None:
            assert bytes_on_disk(folder) == cache.counts.bytes
    assert cache.counts.evicted == 200 - cache.counts.entries
    assert cache.counts.entries >= 2


def test_what_alone_is_larger_than_the_budget_is_not_kept(folder: Path | None) -> None:
    cache = FeatureCache(2 * KB, folder)
    cache.put("small", features(0, 512))
    cache.put("large", features(1, 4 * KB))
    assert cache.get("large") is None
    assert cache.get("small") is not None
    assert (cache.counts.too_large, cache.counts.evicted) == (1, 0)


def test_a_budget_of_nothing_keeps_nothing(folder: Path | None) -> None:
    cache = FeatureCache(0, folder)
    cache.put("star", features(0))
    assert cache.get("star") is None
    assert cache.counts.bytes == 0


def test_what_was_put_does_not_follow_its_source(folder: Path | None) -> None:
    cache = FeatureCache(100 * KB, folder)
    source = torch.zeros(64, 64)
    cache.put("row", {"projector": source[1]})
    source.fill_(7)
    assert not cache.get("row")["projector"].any()
    assert cache.counts.bytes < 64 * 64 * 4  # the row alone, not all that it was cut from


def test_it_is_made_once_and_then_found(folder: Path | None) -> None:
    cache = FeatureCache(100 * KB, folder)
    made: list[int] = []

    def make() -> dict[str, torch.Tensor]:
        made.append(1)
        return features(0)

    first, second = cache.get_or_make("star", make), cache.get_or_make("star", make)
    assert len(made) == 1
    assert torch.equal(first["projector"], second["projector"])


def test_threads_share_a_cache(folder: Path | None) -> None:
    cache = FeatureCache(20 * KB, folder)
    wrong: list[str] = []

    def work(seed: int) -> None:
        for step in range(60):
            key = (seed * 7 + step * 3) % 30
            got = cache.get_or_make(str(key), lambda key=key: features(key))
            if not torch.equal(got["projector"], features(key)["projector"]):
                wrong.append(str(key))
            if cache.counts.bytes > 20 * KB:
                wrong.append("budget")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = cache.counts
    assert wrong == []
    assert counts.hits + counts.misses == 6 * 60
    assert counts.hits > 0 < counts.evicted


def test_a_folder_is_found_again_with_its_order_of_use(tmp_path: Path) -> None:
    before = FeatureCache(THREE, tmp_path)
    for number, key in enumerate("abc"):
        before.put(key, features(number))
    before.get("a")
    after = FeatureCache(THREE, tmp_path)
    after.put("d", features(3))
    assert after.get("b") is None
    assert torch.equal(after.get("a")["projector"], features(0)["projector"])


def test_a_smaller_budget_holds_for_what_is_found(tmp_path: Path) -> None:
    before = FeatureCache(10 * KB, tmp_path)
    for number in range(5):
        before.put(str(number), features(number))
    after = FeatureCache(3 * KB, tmp_path)
    assert bytes_on_disk(tmp_path) == after.counts.bytes <= 3 * KB
    assert after.get("4") is not None


def test_an_unfinished_file_is_no_entry_and_is_cleaned_up(tmp_path: Path) -> None:
    (tmp_path / "star.part").write_bytes(b"half of it")
    assert FeatureCache(10 * KB, tmp_path).get("star") is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_someone_removed_is_a_miss(tmp_path: Path) -> None:
    cache = FeatureCache(10 * KB, tmp_path)
    cache.put("star", features(0))
    (tmp_path / "star.safetensors").unlink()
    assert cache.get("star") is None
    assert cache.counts.bytes == 0


@pytest.mark.parametrize("num_bytes", [0, 5, 500])
def test_a_truncated_file_is_a_miss_and_is_made_again(tmp_path: Path, num_bytes: int) -> None:
    FeatureCache(10 * KB, tmp_path).put("star", features(0))
    file = tmp_path / "star.safetensors"
    file.write_bytes(file.read_bytes()[:num_bytes])
    cache = FeatureCache(10 * KB, tmp_path)
    assert cache.get("star") is None
    assert torch.equal(cache.get_or_make("star", lambda: features(0))["projector"], features(0)["projector"])
    assert torch.equal(cache.get("star")["projector"], features(0)["projector"])


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from spavl.learning.feature_cache import FeatureCache
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # no file grows beyond it, as on a disk with so much room
cache = FeatureCache(10**6, Path(sys.argv[1]))
made = cache.get_or_make("large", lambda: {"x": torch.arange(1000.0)})
small = cache.get_or_make("small", lambda: {"x": torch.arange(10.0)})
assert made["x"].sum() == 499500 and cache.get("large") is None and cache.get("small")["x"].sum() == 45
print(cache.counts.not_written, cache.counts.entries, sorted(path.name for path in Path(sys.argv[1]).iterdir()))
"""


def test_a_full_disk_keeps_nothing_and_stops_nothing(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True)
    assert ended.stdout == "1 1 ['small.safetensors']\n", ended.stderr


def test_tensors_outlive_the_removal_of_their_file(tmp_path: Path) -> None:
    cache = FeatureCache(2 * KB, tmp_path)
    cache.put("star", features(0))
    kept = cache.get("star")["projector"]
    cache.put("moon", features(1))
    assert cache.get("star") is None
    assert torch.equal(kept, features(0)["projector"])


def test_files_are_mapped_not_read(tmp_path: Path) -> None:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("shown on Linux only")
    cache = FeatureCache(100 * KB, tmp_path)
    cache.put("star", features(0, 64 * KB))
    kept = cache.get("star")
    assert str(tmp_path / "star.safetensors") in maps.read_text()
    assert kept is not None
