"""Bad input of a training: one line that says what is wrong, and nothing is trained on what is left."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.stage_context import FakeContext
from tests.tiny_llava import CHAT_TEMPLATE, build_tiny_llava
from tests.toy_training import DATASET_RUN, planned_training, toy_context, train

from spavl import run as steps
from spavl.artifacts.store import open_store
from spavl.errors import UserError
from spavl.learning.base_model import load_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llava(tmp_path_factory.mktemp("base"))


def test_a_dataset_version_that_fails_its_checksum_is_refused(base: Path, tmp_path: Path) -> None:
    store = open_store()
    plan = planned_training(store, tmp_path, base)
    path = f"runs/{DATASET_RUN}/dataset/table.parquet"
    store.write(path, store.read(path) + b"\0")
    with pytest.raises(UserError, match=r"dataset/table\.parquet is damaged: its sha256 is not the recorded"):
        steps.work(store, plan, "training", "dpo", 0, 1)


def test_an_image_that_fails_its_checksum_is_refused(base: Path, tmp_path: Path) -> None:
    context = toy_context(tmp_path, base)
    image = context.rows("dataset")[3].image_id
    context.store.write(f"blobs/{image[:2]}/{image}", b"other bytes")
    _refused(context, f"the blob {image} is damaged")


def test_a_pair_without_an_image_is_refused_by_its_id(base: Path, tmp_path: Path) -> None:
    context = toy_context(tmp_path, base)
    _replace_image(context, 3, "")
    _refused(context, "the pair pair-003 of the dataset version has no image")


def test_an_image_that_is_gone_is_refused(base: Path, tmp_path: Path) -> None:
    context = toy_context(tmp_path, base)
    _replace_image(context, 3, "0" * 64)
    _refused(context, f"the blob {'0' * 64} is not in the store")


def test_an_unreadable_image_is_refused_with_its_pair(base: Path, tmp_path: Path) -> None:
    context = toy_context(tmp_path, base)
    image = context.store.put_blob(b"no picture at all")
    _replace_image(context, 3, image)
    _refused(context, f"the image {image} of pair pair-003 cannot be read")


def test_an_image_that_ends_too_early_is_refused(base: Path, tmp_path: Path) -> None:
    context = toy_context(tmp_path, base)
    whole = context.store.get_blob(context.rows("dataset")[3].image_id)
    image = context.store.put_blob(whole[: len(whole) * 2 // 3])  # its size can be read, its pixels cannot
    _replace_image(context, 3, image)
    _refused(context, f"the image {image} cannot be read")


def test_a_base_whose_weights_are_pickles_only_is_refused(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_bytes((base / "config.json").read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"never opened")
    with pytest.raises(
        UserError, match=r"holds 'pytorch_model\.bin', a pickle; loading one can run any code"
    ):
        toy_context(tmp_path, folder)  # where a plan pins the base
    with pytest.raises(UserError, match=r"has no \.safetensors file; weights as pickles are refused"):
        load_model(folder, "float32")  # where a hub's revision was fetched, without its pickles


def test_a_base_whose_tokenizer_knows_no_stop_token_is_refused(tmp_path: Path) -> None:
    """Its template writes a stop that generation does not know, so no answer would ever end."""
    template = CHAT_TEMPLATE.replace("{{ eos_token }}", "STOP")
    base = build_tiny_llava(tmp_path / "base", chat_template=template)
    for name in ("tokenizer_config.json", "generation_config.json"):
        text = (base / name).read_text()
        (base / name).write_text(text.replace('"eos_token"', '"no_token"').replace('"eos_token_id"', '"no"'))
    _refused(toy_context(tmp_path, base), "the base model has no stop token")


def _refused(context: FakeContext, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        train(context)
    assert "\n" not in str(refused.value)
    assert not context.store.names("runs/20260101-test/training")  # no checkpoint, no model


def _replace_image(context: FakeContext, number: int, image_id: str) -> None:
    rows = context.rows("dataset")
    rows[number] = dataclasses.replace(rows[number], image_id=image_id)
    context.rows_by_stage = {"dataset": rows}
