"""What a training tells while it runs: the log line, TensorBoard's files, Kubeflow's job status. None of it is a metric row."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.sealing import seal_rows
from tests.stage_context import FakeContext
from tests.tiny_llava import build_tiny_llava
from tests.toy_training import toy_context, train

from spavl.errors import TryAgain
from spavl.stages.training import stage

SHORT = {"num_epochs": 2, "checkpoint_every_steps": 3, "log_every_steps": 1}  # 8 steps
STEPS = 8


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llava(tmp_path_factory.mktemp("base"))


def test_log_lines_hold_loss_and_speed_and_the_record_holds_speed_and_memory(
    base: Path, tmp_path: Path
) -> None:
    context = toy_context(tmp_path, base, **SHORT)
    sealed = seal_rows(stage, context, train(context))
    notes = [note for _, _, note in context.progress_calls]
    assert notes[0].startswith("loss ") and "samples/s" not in notes[0]  # nothing is known after one step
    assert all("samples/s" in note and "tokens/s" in note for note in notes[1:])
    speed = sealed.details["speed"]
    assert speed["samples_per_second"] > 0 and speed["tokens_per_second"] > speed["samples_per_second"]
    assert 0.05 < speed["peak_memory_gb"] < 50
    assert "mfu" not in speed  # nobody knows a CPU's peak
    assert sealed.details["ranks"] == 1
    assert not [row.name for row in sealed.rows if "per_second" in row.name or "memory" in row.name]


def test_tensorboard_files_lie_beside_the_model_and_hold_every_step_of_a_resumed_training(
    base: Path, tmp_path: Path
) -> None:
    recipe = SHORT | {"report_to": ["tensorboard"]}
    with pytest.raises(TryAgain):
        train(_stopping_after(4, toy_context(tmp_path, base, **recipe)))
    context = toy_context(tmp_path, base, **recipe)
    rows = train(context)
    folder = seal_rows(stage, context, rows).details["folders"]["tensorboard"]
    assert folder["path"] == "runs/20260101-test/training/tensorboard"
    found = _scalars(context.store.local_path(folder["path"]))
    assert [step for step, _ in found["train/loss"]] == list(range(1, STEPS + 1))
    losses = [row.value for row in rows if row.name == "loss"]
    assert [value for _, value in found["train/loss"]] == pytest.approx(losses, rel=1e-6)
    assert len(found["train/samples_per_second"]) >= STEPS - 2


def test_without_a_tracker_no_such_folder_is_left(base: Path, tmp_path: Path) -> None:
    context = toy_context(tmp_path, base, **SHORT)
    assert "tensorboard" not in seal_rows(stage, context, train(context)).details["folders"]


def test_a_kubeflow_job_is_told_the_progress(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job_status: tuple[str, list[dict[str, Any]]]
) -> None:
    url, told = job_status
    (tmp_path / "token").write_text("toy-token")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", url)
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", str(tmp_path / "token"))
    train(toy_context(tmp_path, base, **SHORT))
    assert [status["progressPercentage"] for status in (told[0], told[-1])] == [0, 100]
    names = {metric["name"] for metric in told[-1]["metrics"]}
    assert {"loss", "rewards/margins", "tokens_per_second"} <= names


@pytest.fixture
def job_status() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of a server that takes what a job reports, and the list of it."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Authorization"] == "Bearer toy-token"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append(json.loads(body)["trainerStatus"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/status", told
    server.shutdown()
    server.server_close()


def _stopping_after(step: int, context: FakeContext) -> FakeContext:
    import os
    import signal

    context.progress = lambda done, total, note="": (
        os.kill(os.getpid(), signal.SIGTERM) if done == step else None
    )
    return context


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every scalar, by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
