"""Trainings that several ranks do together, for tests: `torchrun … -m tests.toy_ranks JOBS`, or the same alone.

JOBS is a JSON file with a list of jobs that are done in turn by the same processes. What each was seen to do lies in its
folder afterwards, written by rank 0 (`Seen`), beside the store.

One process does one training in earnest; here several share a process group, since starting ranks costs more than training.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.toy_training import toy_context, train

from spavl import ranks
from spavl.artifacts.record import stage_folder
from spavl.errors import SpavlError
from spavl.learning import process_group, trainer

TIMEOUT_S = 240


@dataclass(frozen=True)
class Job:
    """One training of `toy_training`, with three questions about each image."""

    folder: str  # its store lies here; a job in the folder of one that was stopped goes on with it
    base: str
    recipe: dict[str, Any]
    stop_after: int | None = None  # the last rank is sent SIGTERM after this step
    seen: str = "seen.pt"  # file in the folder


@dataclass
class Seen:
    """What a job did, over all ranks."""

    gradients: dict[str, Any] = field(
        default_factory=dict
    )  # of the first step, before clipping, by parameter
    steps: list[list[str]] = field(
        default_factory=list
    )  # pair ids of every step that was done, fillers not counted
    num_fillers: int = 0
    num_forwards: list[int] = field(default_factory=list)  # of one rank, by step
    rows: list[tuple[int, str, float]] = field(default_factory=list)  # step, name, value
    errors: list[str] = field(default_factory=list)  # by rank, where the job ended in one


def do(job: Job) -> Seen:
    """Do one job and write down what was seen; every rank calls it."""
    seen = Seen()
    context = toy_context(Path(job.folder), Path(job.base), num_per_image=3, **job.recipe)
    context.progress = lambda done, total, note="": _stop_after(job, done)
    with _Watch(seen):
        try:
            rows = train(context)
            seen.rows = [(row.step, row.name, row.value) for row in rows]
        except SpavlError as error:
            seen.errors = process_group.gather(str(error))
    if ranks.rank() == 0:
        import torch

        torch.save(asdict(seen), Path(job.folder) / job.seen)
    return seen


def do_on_ranks(jobs: Sequence[Job], num_ranks: int, folder: Path) -> list[Seen]:
    """Do the jobs on this many ranks, started by torchrun; asserts that they ended well."""
    listed = folder / "jobs.json"
    listed.write_text(json.dumps([asdict(job) for job in jobs]))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_ranks)]
    command = [sys.executable, *torchrun, "-m", "tests.toy_ranks", str(listed)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-6000:]
    return [seen_by(job) for job in jobs]


def seen_by(job: Job) -> Seen:
    import torch

    return Seen(**torch.load(Path(job.folder) / job.seen))


def weights_in(folder: Path) -> dict[str, Any]:
    """The final model's weights, from the job's store."""
    from safetensors.torch import load_file

    stage = stage_folder("20260101-test", "training")
    return load_file(folder / "store" / stage / "model" / "model.safetensors")


def _stop_after(job: Job, done: int) -> None:
    if done == job.stop_after and ranks.rank() == ranks.num_ranks() - 1:
        os.kill(os.getpid(), signal.SIGTERM)


class _Watch:
    """Inside, the trainer that is made writes what it does into `seen`."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._make = trainer.make_trainer

    def __enter__(self) -> None:
        trainer.make_trainer = self._made

    def __exit__(self, *_: object) -> None:
        trainer.make_trainer = self._make

    def _made(self, *arguments: Any) -> Any:
        running = self._make(*arguments)
        plain = running.training_step

        def training_step(model: Any, forwards: Sequence[Any], num_items: Any = None) -> Any:
            self._note_forwards(forwards)
            if running.is_deepspeed_enabled and not self._seen.gradients:
                self._note_before_step(running)
            loss = plain(model, forwards, num_items)
            self._seen.gradients = self._seen.gradients or _gradients(running.model)
            return loss

        running.training_step = training_step
        return running

    def _note_forwards(self, forwards: Sequence[Any]) -> None:
        real = [pair.id for forward in forwards if forward.weight for pair in forward.pairs]
        fillers = sum(not forward.weight for forward in forwards)
        everybody = process_group.gather((real, fillers))
        self._seen.steps.append(sorted(pair for of_rank, _ in everybody for pair in of_rank))
        self._seen.num_fillers += sum(number for _, number in everybody)
        self._seen.num_forwards.append(len(forwards))

    def _note_before_step(self, running: Any) -> None:
        """DeepSpeed's engine steps within backward, so its gradients must be read there."""
        engine = running.accelerator.deepspeed_engine_wrapped.engine
        plain = engine.step

        def step(*arguments: Any, **options: Any) -> Any:
            self._seen.gradients = self._seen.gradients or _gradients(running.model)
            return plain(*arguments, **options)

        engine.step = step


def _gradients(model: Any) -> dict[str, Any]:
    """Whole, by parameter; every rank takes part where they are in pieces."""
    from deepspeed.utils import safe_get_full_grad

    found = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            whole = parameter.grad if parameter.grad is not None else safe_get_full_grad(parameter)
            found[name] = whole.detach().clone()
    return found


if __name__ == "__main__":
    # ranks that wait for each other for ever say where, and end before pytest would have to kill torchrun, which leaves them
    faulthandler.dump_traceback_later(TIMEOUT_S, exit=True)
    process_group.leave = lambda: process_group.gather(None)  # DeepSpeed holds to its first group for ever
    for values in json.loads(Path(sys.argv[1]).read_text()):
        do(Job(**values))
