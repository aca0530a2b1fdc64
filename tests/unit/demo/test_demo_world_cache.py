"""How a world is cached, on a recipe so short that its models only babble."""

import json
import os
import signal
import subprocess
import sys

import pytest

from spavl.demo.teaching import VARIANTS, Recipe
from spavl.demo.world import teach_world, world_fingerprint

SHORT = Recipe(
    1, num_tower_steps=2, num_language_steps=2, num_manner_steps=1, num_measured_harm=2, num_measured_benign=2
)
KILLED = """
import os, signal, sys
from pathlib import Path
from spavl.demo.teaching import Recipe
from spavl.demo.world import teach_world
teach_world(Path(sys.argv[1]), 0, lambda done, total, note: done == 7 and os.kill(os.getpid(), signal.SIGKILL), Recipe(1, 2, 2, 1, 2, 2))
"""


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    steps = []
    folder = tmp_path_factory.mktemp("world")
    return teach_world(folder, 0, lambda *step: steps.append(step), SHORT), steps


def _weights(world):
    return {name: (world.model_folder(name) / "model.safetensors").read_bytes() for name in VARIANTS}


def test_a_world_holds_every_variant_and_what_was_measured(taught):
    world, _ = taught
    assert list(VARIANTS) == ["bold", "frank", "wary", "timid"]
    assert set(world.measured) == set(VARIANTS)
    assert set(world.measured["bold"]) == {"greedy", "sampled"}
    written = json.loads((world.folder / "models" / "world.json").read_text("utf-8"))
    assert written["fingerprint"] == world.fingerprint == world_fingerprint(0, SHORT)


def test_progress_counts_every_step(taught):
    _, steps = taught
    assert [done for done, _, _ in steps] == list(range(1, 9))
    assert {total for _, total, _ in steps} == {8}


def test_a_second_call_teaches_nothing(taught):
    world, _ = taught
    assert teach_world(world.folder, 0, _refuse, SHORT) == world


def test_a_seed_gives_the_same_weights_again(taught, tmp_path):
    world, _ = taught
    assert _weights(teach_world(tmp_path, 0, None, SHORT)) == _weights(world)


def test_another_seed_replaces_the_world(tmp_path):
    first = teach_world(tmp_path, 0, None, SHORT)
    before = _weights(first)
    second = teach_world(tmp_path, 1, None, SHORT)
    assert second.fingerprint != first.fingerprint
    assert _weights(second) != before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "models"]


@pytest.mark.slow
def test_a_killed_teacher_leaves_no_world_and_the_next_one_starts_clean(tmp_path, taught):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "models").exists()
    assert list(tmp_path.glob(".teaching-*"))
    assert _weights(teach_world(tmp_path, 0, None, SHORT)) == _weights(taught[0])
    assert not list(tmp_path.glob(".teaching-*"))


def _refuse(done, total, note):
    raise AssertionError("nothing may be taught")
