"""Sides of a comparison, each in a process of its own that trains one step whenever it is told to.

So sides take turns step by step on the same machine, and each has a peak memory of its own. Between its steps a side waits
and takes nothing from the others.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.speed_sides import Job, Seconds, Side, Stopwatch


@dataclass
class Child:
    """A side that waits between its steps."""

    side: Side
    job: Job
    # the process keeps freed memory for its next tensors: without that a tenth of our time and a third of TRL's went into
    # page faults, which say more about this machine's kernel than about a trainer. Peaks are measured without it
    keeps_memory: bool = True
    facts: dict[str, Any] = field(default_factory=dict)  # once started
    report: dict[str, Any] = field(default_factory=dict)  # once stopped: history, memory

    def start(self) -> None:
        # a fork has everything imported already; CUDA does not survive one
        context = multiprocessing.get_context("fork" if self.job.device == "cpu" else "spawn")
        self._connection, theirs = context.Pipe()
        work = self.side, self.job, self.keeps_memory, theirs
        self._process = context.Process(target=_serve, args=work)
        self._process.start()
        theirs.close()
        self.facts = self._receive()

    def step(self) -> Seconds:
        """One optimizer step, from the end of the one before: data, forwards, backward, update, log."""
        return self._ask("step")

    def profiled_step(self) -> dict[str, float]:
        """One more step; its seconds by kind of operation."""
        return self._ask("profile")

    def counted_step(self) -> int:
        """One more step; the floating-point operations that it executed."""
        return self._ask("count")

    def stop(self) -> None:
        self.report = self._ask("stop")
        self._process.join()

    def kill(self) -> None:
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _ask(self, what: str) -> Any:
        self._connection.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            received = self._connection.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            raise RuntimeError(f"{self.side.name} ended without a word, exit code {code}") from None
        if isinstance(received, _Failure):
            raise RuntimeError(f"{self.side.name} failed:\n{received.traceback}")
        return received


@contextlib.contextmanager
def running(*children: Child) -> Iterator[None]:
    """Children started one after the other, and stopped at the end; whatever happens they are gone then."""
    started: list[Child] = []
    try:
        for child in children:
            started.append(child)
            child.start()
        yield
        for child in children:
            child.stop()
    finally:
        for child in started:
            child.kill()


@dataclass(frozen=True)
class _Failure:
    traceback: str


def _serve(side: Side, job: Job, keeps_memory: bool, connection: Any) -> None:
    try:
        connection.send(_train(side, job, keeps_memory, connection))
    except BaseException:
        connection.send(_Failure(traceback.format_exc()))


def _train(side: Side, job: Job, keeps_memory: bool, connection: Any) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    if keeps_memory:
        keep_freed_memory()
    memory = _Memory(job.device)
    built = side.build(job, side)
    _quiet(built.trainer)
    built.trainer.add_callback(_gate(connection, job.device))
    connection.send(built.facts)
    built.trainer.train()
    history = [entry for entry in built.trainer.state.log_history if "loss" in entry]
    return {"history": history, **memory.peak()}


def keep_freed_memory() -> None:
    """Tell glibc to map no tensor on its own and to give nothing back; elsewhere nothing happens."""
    trim_threshold, mmap_max = -1, -4  # names of glibc's malloc.h
    with contextlib.suppress(AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(trim_threshold, -1)
        libc.mallopt(mmap_max, 0)


def _quiet(trainer: Any) -> None:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _gate(connection: Any, device: str) -> Any:
    from transformers import TrainerCallback

    class Gate(TrainerCallback):
        """Holds the training before its first step and after every one, until the next is asked for."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._wait(control)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            connection.send(self._watched.finish())
            self._wait(control)

        def _wait(self, control: Any) -> None:
            asked = connection.recv()
            if asked == "stop":
                control.should_training_stop = True
            else:
                self._watched = _WATCHES[asked](device)

    return Gate()


class _Timed:
    def __init__(self, device: str) -> None:
        self._device = device
        self._watch = Stopwatch()

    def finish(self) -> Seconds:
        _synchronize(self._device)
        return self._watch.read()


class _Counted:
    def __init__(self, device: str) -> None:
        from tests.benchmarks.speed_flops import counter

        self._counter = counter().__enter__()

    def finish(self) -> int:
        self._counter.__exit__(None, None, None)
        return self._counter.get_total_flops()


class _Profiled:
    def __init__(self, device: str) -> None:
        from torch.profiler import ProfilerActivity, profile

        self._device = device
        kinds = [ProfilerActivity.CPU] + ([] if device == "cpu" else [ProfilerActivity.CUDA])
        self._watch = Stopwatch()
        self._profiler = profile(activities=kinds, acc_events=True).__enter__()

    def finish(self) -> dict[str, float]:
        from tests.benchmarks.speed_flops import by_kind

        _synchronize(self._device)
        whole = self._watch.read()
        self._profiler.__exit__(None, None, None)
        return by_kind(self._profiler, whole.wall_s)


_WATCHES = {"step": _Timed, "count": _Counted, "profile": _Profiled}


def _synchronize(device: str) -> None:
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


class _Memory:
    """Peak memory of this process above what it held when it was made."""

    def __init__(self, device: str) -> None:
        self._device = device
        # a forked process begins with its parent's peak; this sets it back to what is held now
        Path("/proc/self/clear_refs").write_text("5")
        self._start_mb = _peak_rss_mb()

    def peak(self) -> dict[str, float]:
        found = {"memory_mb": _peak_rss_mb() - self._start_mb}
        if self._device != "cpu":
            import torch

            found["device_memory_mb"] = torch.cuda.max_memory_allocated() / 1e6
        return found


def _peak_rss_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:"))
