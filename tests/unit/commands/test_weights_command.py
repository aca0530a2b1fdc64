"""`spavl weights` as a pod runs it, against a hub over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster_plan import IMAGES, JUDGE
from tests.line import write_profile
from tests.unit.commands.fake_hub import COMMIT, Hub, running_hub

from spavl.artifacts.store import open_store
from spavl.outcome import Outcome, parse
from spavl.plan import make_plan

FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickle",
    "modeling.py": b"code",
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub(FILES) as running:
        yield running


def planned(tmp_path: Path, judge: dict[str, Any] | None = None) -> str:
    judge = {**JUDGE, "revision": COMMIT, **(judge or {})}
    launch = {"kind": "kubernetes", "images": IMAGES, "env": {"SPAVL_STORE": "s3://bucket/tests"}}
    profile = write_profile(
        tmp_path, num_per_leaf=0, num_per_benign=1, judgements={"judge": judge}, launch=launch
    )
    made = make_plan(open_store(), dag="refresh_preferences", airflow_run_id="tonight", profile=str(profile))
    return made.run_id


def weights(hub: Hub, run_id: str, folder: Path, *, model: str = "judge", **more: str) -> tuple[Outcome, str]:
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(folder.parent / "hf"), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **more}  # fmt: skip
    argv = [
        sys.executable,
        "-m",
        "spavl",
        "weights",
        "--run-id",
        run_id,
        "--model",
        model,
        "--folder",
        str(folder),
    ]
    ended = subprocess.run(argv, capture_output=True, text=True, env=environment)
    outcome = parse(ended.stdout.strip().splitlines()[-1])
    assert outcome and outcome.exit_code == ended.returncode
    return outcome, ended.stderr


def test_pinned_weights_come_from_the_hub_once_and_without_pickles(tmp_path: Path, hub: Hub) -> None:
    run_id, cache = planned(tmp_path), tmp_path / "cache"
    outcome, words = weights(hub, run_id, cache)
    assert (outcome.stage, outcome.verdict, outcome.run_id) == ("weights", "done", run_id), words
    assert outcome.counts == {"files": 2, "bytes": 9}
    (folder,) = cache.iterdir()
    assert sorted(os.listdir(folder)) == ["config.json", "model.safetensors"]
    assert not any("pytorch_model.bin" in asked or "modeling.py" in asked for asked in hub.asked)
    hub.asked.clear()
    again, _ = weights(hub, run_id, cache)
    assert again.verdict == "already done" and hub.asked == []


def test_a_revision_that_the_hub_does_not_have_is_a_users_mistake(tmp_path: Path, hub: Hub) -> None:
    outcome, words = weights(hub, planned(tmp_path, {"revision": "d" * 40}), tmp_path / "cache")
    assert outcome.exit_code == 2 and "has no 'organisation/judge' at 'ddd" in outcome.error, words


def test_a_hub_that_is_down_is_tried_again(tmp_path: Path, hub: Hub) -> None:
    run_id = planned(tmp_path)
    hub.status = 501  # the hub's client itself tries 500 and 503 for half a minute
    assert weights(hub, run_id, tmp_path / "cache")[0].exit_code == 75
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_shuts_us_out_is_a_users_mistake(tmp_path: Path, hub: Hub, status: int) -> None:
    run_id = planned(tmp_path)
    hub.status = status
    outcome, words = weights(hub, run_id, tmp_path / "cache")
    assert outcome.exit_code == 2 and "HF_TOKEN" in outcome.next_step, words


def test_a_hub_that_may_not_be_asked_is_a_users_mistake(tmp_path: Path, hub: Hub) -> None:
    outcome, _ = weights(hub, planned(tmp_path), tmp_path / "cache", HF_HUB_OFFLINE="1")
    assert outcome.exit_code == 2 and "HF_HUB_OFFLINE is set" in outcome.error and hub.asked == []


def test_a_model_that_the_run_does_not_serve_is_refused(tmp_path: Path, hub: Hub) -> None:
    outcome, _ = weights(hub, planned(tmp_path), tmp_path / "cache", model="bold")
    assert outcome.exit_code == 2 and "no vLLM model 'bold'" in outcome.error
    assert outcome.next_step == "Its vLLM models are: judge."
