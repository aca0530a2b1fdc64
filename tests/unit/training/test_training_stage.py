import hashlib
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from tests.sealing import seal_rows
from tests.stage_context import FakeContext
from tests.tiny_llava import build_tiny_llava
from tests.toy_training import toy_context, train

from spavl.errors import TryAgain, UserError
from spavl.stages.training import stage

ONE_EPOCH = {"num_epochs": 1, "checkpoint_every_steps": 2}  # 4 steps
FOLDER = "runs/20260101-test/training"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_llava(tmp_path_factory.mktemp("base"))


def test_one_work_item_whose_id_follows_recipe_and_base(base, tmp_path):
    (first,) = stage.prepare(toy_context(tmp_path, base))
    (same,) = stage.prepare(toy_context(tmp_path, base))
    (other,) = stage.prepare(toy_context(tmp_path, base, beta=0.2))
    assert (first.id, first.group) == (same.id, "dpo")
    assert other.id != first.id


def test_a_dataset_without_train_pairs_is_refused(base, tmp_path):
    context = toy_context(tmp_path, base)
    context.rows_by_stage = {"dataset": [row for row in context.rows("dataset") if row.split == "validation"]}
    with pytest.raises(UserError, match="0 train pairs"):
        stage.prepare(context)


def test_the_sealed_model_lies_in_the_store_as_its_manifest_says(base, tmp_path):
    context = toy_context(tmp_path, base, **ONE_EPOCH)
    sealed = seal_rows(stage, context, train(context))
    assert sealed.counts["pairs"] == 14
    assert sealed.counts["steps"] == 4
    assert [row.step for row in sealed.rows if row.name == "loss"] == [3, 4]
    assert {row.step for row in sealed.rows if row.name.startswith("eval_")} == {4}
    assert sealed.details["adaptation"] == "lora"
    assert sealed.details["packages"]["torch"] == metadata.version("torch")
    folders = sealed.details["folders"]
    assert {name: folder["path"] for name, folder in folders.items()} == {
        "model": f"{FOLDER}/model",
        "adapter": f"{FOLDER}/adapter",
    }
    for folder in folders.values():
        for name, entry in folder["files"].items():
            content = context.store.read(f"{folder['path']}/{name}")
            assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert context.store.names(f"{FOLDER}/checkpoints") == []


def test_a_model_file_that_is_lost_is_noticed_at_sealing(base, tmp_path):
    context = toy_context(tmp_path, base, **ONE_EPOCH)
    rows = train(context)
    context.store.remove(f"{FOLDER}/model/model.safetensors")
    with pytest.raises(UserError, match=r"model.safetensors is damaged: its sha256 is missing"):
        seal_rows(stage, context, rows)


def test_sealing_without_a_finished_model_is_refused(base, tmp_path):
    with pytest.raises(UserError, match="left no model"):
        seal_rows(stage, toy_context(tmp_path, base), [])


def test_a_base_that_changed_since_the_plan_is_refused(base, tmp_path):
    context = toy_context(tmp_path, base)
    context.revisions = {"tiny": "files-0000000000000000"}
    with pytest.raises(UserError, match="this run was planned with files-0000000000000000"):
        train(context)


def test_sigterm_saves_a_checkpoint_and_says_try_again(base, tmp_path):
    context = toy_context(tmp_path, base, num_epochs=1)
    context.progress = lambda done, total, note="": (
        os.kill(os.getpid(), signal.SIGTERM) if done == 2 else None
    )
    with pytest.raises(TryAgain, match="asked to stop after step"):
        train(context)
    (checkpoint,) = context.store.names(f"{FOLDER}/checkpoints")
    assert context.store.exists(f"{FOLDER}/checkpoints/{checkpoint}/checkpoint.json")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits_as_an_undisturbed_one(base, tmp_path):
    killed_at = kill_after_first_checkpoint(tmp_path / "killed", base)
    resumed_context, whole_context = (
        toy_context(tmp_path / "killed", base),
        toy_context(tmp_path / "whole", base),
    )
    resumed, whole = train(resumed_context), train(whole_context)
    first_done = resumed_context.progress_calls[0][0]
    assert killed_at < 42, "the child had ended before it was killed"
    assert 5 < first_done <= killed_at + 6, "the second attempt did not begin at a checkpoint"
    assert resumed == whole
    assert sealed_files(resumed_context, resumed) == sealed_files(whole_context, whole)
    assert check_by_suite(whole).passed


def kill_after_first_checkpoint(folder: Path, base: Path) -> int:
    """SIGKILL a child that trains, as soon as its first checkpoint is whole; returns the newest whole one's step."""
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-m", "tests.toy_training", str(folder), str(base)]) as child:
        first = folder / "store" / FOLDER / "checkpoints" / "step-000005" / "checkpoint.json"
        while not first.exists():
            assert child.poll() is None, "the child ended without a checkpoint"
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    return max(
        int(path.parent.name.removeprefix("step-")) for path in first.parents[1].glob("*/checkpoint.json")
    )


def check_by_suite(rows):
    from spavl.records import to_table
    from spavl.stages.training.rows import TrainingMetric
    from spavl.validation import check, find_suite, load_suite

    return check(
        to_table(rows, TrainingMetric), load_suite(find_suite("training"), TrainingMetric), stage="training"
    )


def sealed_files(context: FakeContext, rows) -> dict:
    return seal_rows(stage, context, rows).details["folders"]
