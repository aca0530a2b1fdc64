"""Pinned weights are fetched whole, once, without pickles, by however many pods at once."""

from __future__ import annotations

import concurrent.futures
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.config import VllmModel
from spavl.errors import TryAgain, UserError
from spavl.inference.weights import fetch_weights, weights_folder

FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "tokenizer.model": b"pieces",
    "chat_template.jinja": b"{{ x }}",
    "merges.txt": b"a b",
    "pytorch_model.bin": b"pickle",
    "training_args.pt": b"pickle",
    "modeling.py": b"code",
    ".hidden.json": b"{}",
    "vision/model.safetensors": b"tower",
}
WANTED = {"config.json", "model.safetensors", "tokenizer.model", "chat_template.jinja", "merges.txt", "vision/model.safetensors"}  # fmt: skip


def spec_of(path: Path | str, **changes: str) -> VllmModel:
    return VllmModel(**{"kind": "vllm", "name": "judge", "path": str(path), "revision": "r1", **changes})


def source(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def names_in(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_weights_and_their_config_are_fetched_and_nothing_that_could_run(tmp_path: Path) -> None:
    spec = spec_of(source(tmp_path / "source"))
    fetched = fetch_weights(spec, tmp_path / "cache")
    assert fetched.path == tmp_path / "cache" / weights_folder(spec)
    assert (
        names_in(fetched.path) == WANTED and (fetched.path / "model.safetensors").read_bytes() == b"weights"
    )
    assert (fetched.num_files, fetched.num_bytes, fetched.was_there) == (6, 2 + 7 + 6 + 7 + 3 + 5, False)
    assert os.listdir(tmp_path / "cache") == [weights_folder(spec)]


def test_a_folder_on_s3_is_fetched_alike(tmp_path: Path, s3_url: str) -> None:
    import boto3

    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    leading_out = {"../out.json": b"{}", "/out.json": b"{}", "a/../../out.json": b"{}"}
    for name, content in (FILES | leading_out).items():
        boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/judge/{name}", Body=content)
    for path in (f"{s3_url}/judge", f"{s3_url}/judge/"):
        fetched = fetch_weights(spec_of(path), tmp_path / "cache")
        assert names_in(fetched.path) == WANTED


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    spec = spec_of(source(tmp_path / "source"))
    first = fetch_weights(spec, tmp_path / "cache")
    (tmp_path / "source" / "model.safetensors").unlink()
    again = fetch_weights(spec, tmp_path / "cache")
    assert again.was_there and (again.path, again.num_bytes) == (first.path, first.num_bytes)


def test_another_revision_is_another_folder(tmp_path: Path) -> None:
    folder = source(tmp_path / "source")
    paths = {
        fetch_weights(spec_of(folder, revision=revision), tmp_path / "cache").path
        for revision in ("r1", "r2")
    }
    assert len(paths) == 2


def test_pods_that_fetch_at_once_all_end_with_the_same_weights(tmp_path: Path) -> None:
    spec = spec_of(source(tmp_path / "source"))
    with concurrent.futures.ThreadPoolExecutor(8) as pods:
        fetched = list(pods.map(lambda _: fetch_weights(spec, tmp_path / "cache"), range(8)))
    assert {one.path for one in fetched} == {tmp_path / "cache" / weights_folder(spec)}
    assert names_in(fetched[0].path) == WANTED and os.listdir(tmp_path / "cache") == [weights_folder(spec)]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config.json": b"{}", "pytorch_model.bin": b"pickle"}, r"no .safetensors file"),
        ({"model-00001-of-00002.safetensors": b"1", "model.safetensors.index.json": json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}).encode()}, r"lacks 1 files .*model-00002"),
    ],
    ids=["only a pickle", "a part is missing"],
)  # fmt: skip
def test_weights_that_are_unsafe_or_incomplete_are_refused_and_leave_nothing(
    tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        fetch_weights(spec_of(source(tmp_path / "source", files)), tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []


def test_a_cache_that_belongs_to_somebody_else_is_told_with_its_remedy(tmp_path: Path) -> None:
    spec, cache = spec_of(source(tmp_path / "source")), tmp_path / "cache"
    cache.mkdir(mode=0o500)
    user = os.geteuid()
    if user == 0:  # who may write anywhere
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match="may not write to") as refused:
            fetch_weights(spec, cache)
    finally:
        os.seteuid(user)
    assert "launch.model_cache_claim" in refused.value.next_step


def test_a_folder_that_is_missing_is_a_users_mistake(tmp_path: Path, s3_url: str) -> None:
    for path in (tmp_path / "nowhere", f"{s3_url}/nowhere", "s3://no-such-bucket/x", "gopher://x/y"):
        with pytest.raises(UserError, match="model 'judge'"):
            fetch_weights(spec_of(path), tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []


def test_missing_credentials_are_a_users_mistake(
    tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UserError, match="cannot be read: NoCredentialsError"):
        fetch_weights(spec_of(f"{s3_url}/judge"), tmp_path / "cache")


def test_a_store_that_is_away_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(TryAgain, match="does not answer"):
        fetch_weights(spec_of("s3://away-bucket/judge"), tmp_path / "cache")


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_a_folder_name_is_one_safe_word(path: str, revision: str) -> None:
    name = weights_folder(spec_of(path, revision=revision))
    assert len(name) <= 61 and set(name) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"
    )
    assert not name.startswith((".", "-"))


def test_a_folder_name_can_be_read() -> None:
    assert weights_folder(spec_of("Qwen/Qwen2.5-VL-7B-Instruct")).startswith("Qwen-Qwen2.5-VL-7B-Instruct-")
    assert weights_folder(spec_of("s3://bucket/models/judge/")).startswith("bucket-models-judge-")
