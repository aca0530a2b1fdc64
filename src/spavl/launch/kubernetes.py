"""Runs a step as an object on a cluster, from begin to end, in one call: the same interface as `launch.local`.

For the command line and for tests; under Airflow a trigger waits instead, so that no worker does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from spavl.artifacts import failure
from spavl.artifacts.store import open_store
from spavl.errors import SpavlError
from spavl.launch import life
from spavl.launch.cluster import Cluster
from spavl.launch.ending import Subject, settle
from spavl.launch.follow import Pace, follow, wait_until_clear
from spavl.launch.handle import Handle
from spavl.outcome import Outcome
from spavl.pipeline import BY_NAME

if TYPE_CHECKING:
    from spavl.launch.wanted import Wanted
    from spavl.plan import Plan


def run_step(plan: Plan, stage: str, step: str, *, on_line: Callable[[str], None] = print) -> Outcome:
    """`prepare` or `seal` of a stage as one Job; raises StepFailed."""
    return _run(plan, Subject(stage, step, plan.run_id), wanted_of(plan, stage, step), on_line)


def run_group(
    plan: Plan, stage: str, group: str, num_shards: int, *, on_line: Callable[[str], None] = print
) -> Outcome:
    """All shards of one group as one Job, Indexed Job or TrainJob; raises StepFailed."""
    wanted = wanted_of(plan, stage, "work", group, num_shards)
    return _run(plan, Subject(stage, "work", plan.run_id), wanted, on_line)


def wanted_of(plan: Plan, stage: str, step: str, group: str | None = None, num_shards: int = 1) -> Wanted:
    from spavl.launch.wanted import wanted

    return wanted(plan, stage, step, group, num_shards)


async def begin(cluster: Cluster, wanted: Wanted, owner: str, subject: Subject) -> Handle:
    """Begin or adopt; a training that begins anew forgets the reason that its former attempt left."""

    def forget() -> None:
        if BY_NAME[subject.stage].runs_on == "training" and subject.step == "work":
            failure.forget(open_store(), subject.run_id, subject.stage)

    return await life.begin(cluster, wanted, owner, before_create=forget)


def _run(plan: Plan, subject: Subject, wanted: Wanted, on_line: Callable[[str], None]) -> Outcome:
    with _sigterm_as_interrupt():
        return asyncio.run(_follow_to_the_end(plan, subject, wanted, on_line))


async def _follow_to_the_end(
    plan: Plan, subject: Subject, wanted: Wanted, on_line: Callable[[str], None]
) -> Outcome:
    launch = plan.resolved.launch
    assert launch.kind == "kubernetes"
    owner, pace = f"cli-{uuid.uuid4().hex}", Pace.of(launch)
    handle = Handle(
        wanted.kind, wanted.namespace, wanted.base_name, owner, wanted.container, wanted.num_shards
    )
    async with Cluster.of(launch) as cluster:
        try:
            while not (handle := await begin(cluster, wanted, owner, subject)).name:
                await wait_until_clear(cluster, handle, pace, on_line)
            on_line(f"{handle.words} {'is adopted' if handle.is_adopted else 'is made'}")
            seen = await follow(cluster, handle, pace, on_line)
            return await settle(cluster, handle, seen, subject, on_line)
        except asyncio.CancelledError:  # Ctrl-C or SIGTERM
            with contextlib.suppress(SpavlError):
                on_line(await life.remove(cluster, handle))
            raise


@contextlib.contextmanager
def _sigterm_as_interrupt():
    """Inside, SIGTERM does what Ctrl-C does: what was begun is removed."""

    def interrupt(signum: int, frame: object) -> None:
        signal.raise_signal(signal.SIGINT)

    try:
        former = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread, which alone is told of signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
