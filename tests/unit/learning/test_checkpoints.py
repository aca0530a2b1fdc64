from pathlib import Path

import pytest

from spavl.artifacts.store import open_store
from spavl.learning.checkpoints import Checkpoints

FOLDER = "runs/r/training/checkpoints"


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path / 'store'}")


def local_checkpoint(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(content)
    return folder


def test_the_newest_checkpoint_comes_back(store, tmp_path):
    checkpoints = Checkpoints(store, FOLDER, "recipe")
    for step in (5, 10):
        checkpoints.save(local_checkpoint(tmp_path / str(step), f"weights {step}"), step)
    found = checkpoints.fetch_newest(tmp_path / "found")
    assert (found / "model.safetensors").read_text() == "weights 10"


def test_two_checkpoints_are_kept(store, tmp_path):
    checkpoints = Checkpoints(store, FOLDER, "recipe")
    for step in (5, 10, 15):
        checkpoints.save(local_checkpoint(tmp_path / str(step), "w"), step)
    assert store.names(FOLDER) == ["step-000010", "step-000015"]


def test_a_half_written_checkpoint_is_ignored(store, tmp_path):
    checkpoints = Checkpoints(store, FOLDER, "recipe")
    checkpoints.save(local_checkpoint(tmp_path / "5", "weights 5"), 5)
    store.write(f"{FOLDER}/step-000010/files/model.safetensors", b"half")
    found = checkpoints.fetch_newest(tmp_path / "found")
    assert (found / "model.safetensors").read_text() == "weights 5"


def test_a_checkpoint_of_another_recipe_is_ignored(store, tmp_path):
    Checkpoints(store, FOLDER, "former recipe").save(local_checkpoint(tmp_path / "5", "w"), 5)
    assert Checkpoints(store, FOLDER, "recipe").fetch_newest(tmp_path / "found") is None


def test_saving_again_leaves_nothing_of_the_former_attempt(store, tmp_path):
    store.write(f"{FOLDER}/step-000005/files/stray.bin", b"half")
    Checkpoints(store, FOLDER, "recipe").save(local_checkpoint(tmp_path / "5", "w"), 5)
    assert store.names(f"{FOLDER}/step-000005/files") == ["model.safetensors"]


def test_all_checkpoints_can_be_removed(store, tmp_path):
    checkpoints = Checkpoints(store, FOLDER, "recipe")
    checkpoints.save(local_checkpoint(tmp_path / "5", "w"), 5)
    checkpoints.remove_all()
    assert store.names(FOLDER) == []
