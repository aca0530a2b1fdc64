"""The `data` image has no torch, and `prepare` and `seal` of every stage run in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_TRAINING = """
import importlib, importlib.metadata, sys
from pathlib import Path

ABSENT = {"torch", "transformers", "trl", "peft", "accelerate", "datasets", "deepspeed", "tokenizers", "safetensors"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
installed = importlib.metadata.distribution

def distribution(name):
    if name in ABSENT:
        raise importlib.metadata.PackageNotFoundError(name)
    return installed(name)

importlib.metadata.distribution = distribution
"""

SEAL = """
from tests.cluster_plan import cluster_config
from tests.stage_context import FakeContext
from spavl.artifacts.store import open_store
from spavl.learning.leaving import leave_in_store

stage = importlib.import_module(f"spavl.{sys.argv[1]}.stage")
model = Path(sys.argv[2]) / "model"
model.mkdir()
(model / "model.safetensors").write_bytes(b"weights")
context = FakeContext(cluster_config(), open_store(f"file://{sys.argv[2]}/store"), sys.argv[1])
leave_in_store(context.store, f"runs/{context.run_id}/{sys.argv[1]}", {"model": model}, {"steps": 4}, {"packages": {"torch": "9"}})
print(stage.seal(context, []).details["packages"])
"""


def without_training(code: str, *arguments: str) -> str:
    argv = [sys.executable, "-c", WITHOUT_TRAINING + code, *arguments]
    ended = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_stage_can_be_loaded() -> None:
    code = "from spavl.pipeline import STAGES\nfor one in STAGES: importlib.import_module(f'spavl.{one.name}.stage')\nprint('loaded')"
    assert without_training(code) == "loaded\n"


@pytest.mark.parametrize("stage", ["training", "reward"])
def test_a_training_is_sealed_with_the_packages_that_trained_it(stage: str, tmp_path: Path) -> None:
    assert without_training(SEAL, stage, str(tmp_path)) == "{'torch': '9'}\n"
