"""Runs commands as processes on this machine: each in its own process group, stopped as a whole."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from spavl.artifacts import failure
from spavl.artifacts.store import open_store
from spavl.errors import EXIT_BUG, EXIT_DONE, SpavlError
from spavl.launch import warm
from spavl.launch.command import num_processes, stage_command
from spavl.outcome import Outcome, parse, verdict_of

if TYPE_CHECKING:
    from spavl.plan import Plan

Process = subprocess.Popen[str] | warm.WarmProcess
# Between SIGTERM and SIGKILL: training writes a checkpoint in this time. Longer than the 30 s that torchrun gives its ranks:
# they are in sessions of their own, and torchrun, killed first, would leave them running.
GRACE_S = 40.0
_LAST_LINES = 15


class StepFailed(Exception):
    """A command ended with another exit code than 0; the outcome says what it said of itself."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.stage} {outcome.step}: {outcome.error} {outcome.next_step}".strip())
        self.outcome = outcome
        self.exit_code = outcome.exit_code


def run_command(
    argv: Sequence[str],
    *,
    timeout_s: float,
    on_line: Callable[[str], None] = print,
    num_threads: int = 1,
    on_start: Callable[[int], None] = lambda pid: None,
) -> Outcome:
    """Run argv to its end and return its outcome; raises StepFailed where it did not end with exit code 0.

    Its standard error and output are passed line by line to `on_line`, the outcome line excepted. An exception here
    (Airflow stops the task, Ctrl-C) stops the whole process group. `on_start` is told the process group.
    """
    environment = {**os.environ, **warm.child_variables(num_threads)}
    process = warm.start(argv, environment) or subprocess.Popen(
        list(argv),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=environment,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    on_start(process.pid)
    outcome: Outcome | None = None
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with _stopping(process, timeout_s) as timed_out:
        for line in process.stdout or ():
            line = line.rstrip("\n")
            if found := parse(line):
                outcome = found
            else:
                last.append(line)
                on_line(line)
        exit_code = process.wait()
    if exit_code == EXIT_DONE and outcome:
        return outcome
    raise StepFailed(
        _failure(argv, outcome, exit_code, timeout_s if timed_out.is_set() else None, list(last))
    )


def run_group(
    stage: str,
    run_id: str,
    group: str,
    num_shards: int,
    *,
    max_parallel: int,
    timeout_s: float,
    num_processes: int = 1,
    num_threads: int = 1,
    on_line: Callable[[str], None] = print,
) -> Outcome:
    """Run all shards of one group, at most `max_parallel` at once; the first failure stops the others and is raised.

    `num_processes` ranks do each shard together.
    """
    process_groups: set[int] = set()

    def one(shard: int) -> Outcome:
        prefix = f"[{shard}/{num_shards}] " if num_shards > 1 else ""
        argv = stage_command(
            stage,
            "work",
            run_id,
            group=group,
            shard=shard,
            num_shards=num_shards,
            num_processes=num_processes,
        )
        with _ranks_reason(stage, run_id) if num_processes > 1 else contextlib.nullcontext():
            return run_command(
                argv,
                timeout_s=timeout_s,
                on_line=lambda line: on_line(prefix + line),
                num_threads=num_threads,
                on_start=process_groups.add,
            )

    with concurrent.futures.ThreadPoolExecutor(max_workers=min(max_parallel, num_shards)) as pool:
        futures = [pool.submit(one, shard) for shard in range(num_shards)]
        try:
            outcomes = [future.result() for future in concurrent.futures.as_completed(futures)]
        except BaseException:
            for future in futures:
                future.cancel()
            for process_group in process_groups:
                _signal_group(process_group, signal.SIGTERM)
            raise
    counts: dict[str, int] = {}
    for outcome in outcomes:
        for name, value in outcome.counts.items():
            counts[name] = counts.get(name, 0) + value
    return Outcome(stage, "work", run_id, counts=counts)


def run_planned_step(plan: Plan, stage: str, step: str, *, on_line: Callable[[str], None] = print) -> Outcome:
    """`prepare` or `seal` of a stage, as the plan's launch section says."""
    launch = plan.resolved.launch
    return run_command(
        stage_command(stage, step, plan.run_id),
        timeout_s=launch.timeout_s,
        num_threads=launch.num_threads,
        on_line=on_line,
    )


def run_planned_group(
    plan: Plan, stage: str, group: str, num_shards: int, *, on_line: Callable[[str], None] = print
) -> Outcome:
    """All shards of one group, as the plan's launch section says."""
    launch = plan.resolved.launch
    return run_group(
        stage,
        plan.run_id,
        group,
        num_shards,
        max_parallel=launch.max_parallel_shards,
        num_processes=num_processes(stage, launch),
        timeout_s=launch.timeout_s,
        num_threads=launch.num_threads,
        on_line=on_line,
    )


@contextlib.contextmanager
def _ranks_reason(stage: str, run_id: str) -> Iterator[None]:
    """Raises the failure that a rank left in the store in place of torchrun's exit code 1, which says nothing."""
    store = open_store()
    failure.forget(store, run_id, stage)
    try:
        yield
    except StepFailed as failed:
        if failed.exit_code != EXIT_BUG:
            raise
        with contextlib.suppress(SpavlError, OSError):
            if told := failure.read(store, run_id, stage):
                raise StepFailed(told) from None
        raise


@contextlib.contextmanager
def _stopping(process: Process, timeout_s: float) -> Iterator[threading.Event]:
    """Stops the process group on any exception and after `timeout_s`; the event tells that time ran out."""
    timed_out = threading.Event()

    def expire() -> None:
        timed_out.set()
        _stop(process)

    timer = threading.Timer(timeout_s, expire)
    timer.daemon = True
    timer.start()
    try:
        yield timed_out
    finally:
        timer.cancel()
        if process.poll() is None:
            _stop(process)
        if process.stdout:
            process.stdout.close()


def _stop(process: Process) -> None:
    _signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()


def _signal_group(process_group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_group, number)


def _failure(
    argv: Sequence[str], outcome: Outcome | None, exit_code: int, timeout_s: float | None, last: list[str]
) -> Outcome:
    if timeout_s is not None:
        return Outcome(
            _subject(argv),
            verdict="again",
            exit_code=exit_code,
            error=f"stopped after {timeout_s:.0f} s.",
            next_step="Raise launch.timeout_s.",
        )
    if outcome:
        return outcome
    how = (
        f"was killed by signal {-exit_code}"
        if exit_code < 0
        else f"ended with exit code {exit_code} and no outcome line"
    )
    return Outcome(
        _subject(argv),
        verdict=verdict_of(exit_code),
        exit_code=exit_code,
        error=f"the process {how}; its last lines: " + " | ".join(last),
    )


def _subject(argv: Sequence[str]) -> str:
    """The words after `-m spavl` that name what was run."""
    words = list(argv)
    return words[words.index("spavl") + 1] if "spavl" in words[:-1] else words[0]
