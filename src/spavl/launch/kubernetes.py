"""Runs a step as an object on a cluster, from begin to end, in one call: the same interface as `launch.local`.

For the command line and for tests; under Airflow a trigger waits instead, so that no worker does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from spavl.artifacts import failure
from spavl.artifacts.store import open_store
from spavl.errors import SpavlError, UserError
from spavl.launch import life
from spavl.launch.cluster import Cluster
from spavl.launch.ending import Subject, settle
from spavl.launch.follow import Pace, follow, wait_until_clear
from spavl.launch.handle import Handle
from spavl.launch.local import StepFailed
from spavl.launch.wanted import Wanted, wanted
from spavl.outcome import Outcome, failure_of
from spavl.pipeline import BY_NAME

if TYPE_CHECKING:
    from spavl.plan import Plan


def run_step(plan: Plan, stage: str, step: str, *, on_line: Callable[[str], None] = print) -> Outcome:
    """`prepare` or `seal` of a stage as one Job; raises StepFailed."""
    return _run(plan, Subject(stage, step, plan.run_id), None, 1, on_line)


def run_group(
    plan: Plan, stage: str, group: str, num_shards: int, *, on_line: Callable[[str], None] = print
) -> Outcome:
    """All shards of one group as one Job, Indexed Job or TrainJob; raises StepFailed."""
    return _run(plan, Subject(stage, "work", plan.run_id), group, num_shards, on_line)


async def begin(cluster: Cluster, work: Wanted, owner: str, subject: Subject) -> Handle:
    """Begin or adopt; a training that begins anew forgets the reason that its former attempt left."""

    def forget() -> None:
        if BY_NAME[subject.stage].runs_on == "training" and subject.step == "work":
            failure.forget(open_store(), subject.run_id, subject.stage)

    return await life.begin(cluster, work, owner, before_create=forget)


def failed(subject: Subject, error: SpavlError) -> StepFailed:
    """An error of the launcher itself, in the form that a failed step has."""
    return StepFailed(failure_of(error, subject.stage, subject.step, subject.run_id))


def _run(
    plan: Plan, subject: Subject, group: str | None, num_shards: int, on_line: Callable[[str], None]
) -> Outcome:
    on_line(f"{subject.stage}: {subject.step}" + (f" of {group}" if group else ""))
    try:
        work = wanted(plan, subject.stage, subject.step, group, num_shards)
        return asyncio.run(_stopped_by_sigterm(_to_the_end(plan, subject, work, on_line)))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except SpavlError as error:
        raise failed(subject, error) from None


async def _stopped_by_sigterm(running: Coroutine[None, None, Outcome]) -> Outcome:
    """SIGTERM does what Ctrl-C does: what was begun is removed."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(ValueError, RuntimeError):  # not the main thread, which alone is told of signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await running


async def _to_the_end(plan: Plan, subject: Subject, work: Wanted, on_line: Callable[[str], None]) -> Outcome:
    launch = plan.resolved.launch
    assert launch.kind == "kubernetes"
    owner, pace = f"cli-{uuid.uuid4().hex}", Pace.of(launch)
    handle = life.unnamed(work, owner)
    async with Cluster.of(launch) as cluster:
        try:
            while not (handle := await begin(cluster, work, owner, subject)).name:
                await wait_until_clear(cluster, handle, pace, on_line)
            on_line(f"{handle.words} {handle.how}")
            seen = await follow(cluster, handle, pace, on_line)
            return await settle(cluster, handle, seen, subject, on_line)
        except (
            asyncio.CancelledError,
            UserError,
        ):  # Ctrl-C, SIGTERM, or something that the cluster forbids us
            with contextlib.suppress(SpavlError):
                on_line(await life.remove(cluster, handle))
            raise
