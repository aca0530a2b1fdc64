"""Two ranks of one training, launched as a user's are: stopped, killed, failing alone. They end together, and it is told why."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tiny_llava import build_tiny_llava
from tests.toy_pairs import toy_rows
from tests.toy_training import planned_training

from spavl import run as steps
from spavl.artifacts.record import stage_folder
from spavl.artifacts.store import Store, open_store
from spavl.launch import StepFailed, run_group
from spavl.outcome import Outcome
from spavl.run import work_list
from spavl.stages.training.rows import TrainingMetric

RECIPE = {"lora": {"r": 8, "alpha": 16}, "num_epochs": 8, "checkpoint_every_steps": 4, "log_every_steps": 1}
STEPS = 32
DEADLINE_S = 120


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ranks")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llava(tmp_path_factory.mktemp("base"))


def test_two_ranks_stopped_and_killed_end_as_one_process_undisturbed(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _home(tmp_path / "disturbed", monkeypatch)
    plan = planned_training(store, tmp_path / "disturbed", base, **RECIPE)
    folder = stage_folder(plan.run_id, "training")

    # SIGTERM to torchrun, which hands it on to its ranks and itself ends with exit code 1
    stopped = _disturbed(
        plan.run_id, lambda ranks: os.kill(_parent(ranks[0]), signal.SIGTERM), _newest(store, folder, above=0)
    )
    assert (stopped.verdict, stopped.exit_code) == ("again", 75), stopped
    assert f"asked to stop after step {_newest_step(store, folder)} of {STEPS}" in stopped.error
    assert json.loads(store.read(f"{folder}/failure.json"))["verdict"] == "again"

    # SIGKILL of one rank: the other cannot go on, and must not wait for ever
    before = _newest_step(store, folder)
    killed = _disturbed(
        plan.run_id, lambda ranks: os.kill(ranks[1], signal.SIGKILL), _newest(store, folder, above=before)
    )
    assert killed.exit_code not in (0, 2, 3, 75), killed
    assert before < _newest_step(store, folder) < STEPS

    lines: list[str] = []
    assert _launch(plan.run_id, lines.append).counts["computed"] > STEPS
    assert not store.exists(f"{folder}/failure.json")
    first_step = int(next(line for line in lines if line.startswith("training: ")).split()[1].split("/")[0])
    assert first_step > before, "the last attempt did not begin at a checkpoint"

    whole_store = _home(tmp_path / "whole", monkeypatch)
    whole = planned_training(whole_store, tmp_path / "whole", base, **RECIPE)
    steps.work(whole_store, whole, "training", "dpo", 0, 1)
    found, expected = _metrics(store, plan.run_id), _metrics(whole_store, plan.run_id)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_what_only_one_rank_knows_is_what_the_launch_ends_with(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image whose pixels cannot be read is met by the rank whose share it is in; torchrun alone would say 1."""
    store = _home(tmp_path / "home", monkeypatch)
    rows, images = toy_rows(14, 2)
    cut = store.put_blob(images[3][: len(images[3]) * 2 // 3])
    rows[3] = dataclasses.replace(rows[3], image_id=cut)
    plan = planned_training(store, tmp_path / "home", base, rows=rows, **RECIPE)
    lines: list[str] = []
    with pytest.raises(StepFailed, match=f"the image {cut} cannot be read: BadPicture") as failed:
        _launch(plan.run_id, lines.append)
    assert failed.value.exit_code == 2
    assert any("exitcode: 2) local_rank: 1 " in line for line in lines)  # it was not rank 0


def _home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    folder.mkdir()
    monkeypatch.setenv("SPAVL_HOME", str(folder))
    return open_store()


def _launch(run_id: str, on_line: Callable[[str], None] = lambda line: None) -> Outcome:
    return run_group(
        "training",
        run_id,
        "dpo",
        1,
        max_parallel=1,
        timeout_s=DEADLINE_S,
        num_processes=2,
        on_line=on_line,
    )


def _disturbed(run_id: str, disturb: Callable[[list[int]], None], is_time: Callable[[], bool]) -> Outcome:
    """Launch, disturb the ranks (pids in their order) when it is time, and return the outcome of the failed launch."""

    def watch() -> None:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline and not is_time():
            time.sleep(0.02)
        disturb(_rank_pids())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with pytest.raises(StepFailed) as failed:
            _launch(run_id)
    finally:
        watching.join()
    return failed.value.outcome


def _rank_pids() -> list[int]:
    """The processes that torchrun has started for this test's SPAVL_HOME, by rank."""
    home = f"SPAVL_HOME={os.environ['SPAVL_HOME']}"
    found: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        try:
            variables = (folder / "environ").read_text(errors="replace").split("\0")
        except OSError:
            continue
        rank = next((word for word in variables if word.startswith("RANK=")), None)
        if home in variables and rank:
            found[int(rank.removeprefix("RANK="))] = int(folder.name)
    return [found[rank] for rank in sorted(found)]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _newest_step(store: Store, folder: str) -> int:
    """Of the newest whole checkpoint; 0 where there is none."""
    names = store.names(f"{folder}/checkpoints")
    whole = [name for name in names if store.exists(f"{folder}/checkpoints/{name}/checkpoint.json")]
    return max((int(name.removeprefix("step-")) for name in whole), default=0)


def _newest(store: Store, folder: str, above: int) -> Callable[[], bool]:
    return lambda: _newest_step(store, folder) > above


def _metrics(store: Store, run_id: str) -> dict[str, float]:
    return {row.id: row.value for row in work_list.read_parts(store, run_id, "training", TrainingMetric)}
