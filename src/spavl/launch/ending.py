"""What is done once an object has ended: the logs of all its shards, its outcome, and for a failure one line that says why.

An object that failed without finishing (it could never start, its server crashed again and again) is removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from spavl.artifacts import failure as kept_failure
from spavl.artifacts.store import open_store
from spavl.errors import EXIT_AGAIN, EXIT_BUG, SpavlError, TryAgain
from spavl.launch import life, pods_seen, status
from spavl.launch.cluster import Cluster
from spavl.launch.handle import Handle
from spavl.launch.local import StepFailed
from spavl.launch.look import pods_of
from spavl.launch.pods_seen import Failure, Json
from spavl.launch.status import Status
from spavl.outcome import Outcome, parse, verdict_of
from spavl.pipeline import BY_NAME

NUM_LINES = (500, 50, 5)  # of each shard's log; fewer where so many do not fit
NUM_BYTES = 1_000_000
NUM_LAST_LINES = 15  # in the error, where the command said nothing of itself
NUM_LAST_LINES_BESIDE_AN_OUTCOME = 3


@dataclass(frozen=True)
class Subject:
    """Which step of which run it was."""

    stage: str
    step: str
    run_id: str


@dataclass(frozen=True)
class ShardLog:
    """The end of one shard's log."""

    pod: Json
    lines: Sequence[str]

    def outcome(self, client: str) -> Outcome | None:
        """Of the termination message, which holds 4 KiB at most; else of the log."""
        for container in pods_seen.containers(self.pod):
            message = pods_seen.state(container, "terminated").get("message", "")
            if container["name"] == client and (found := pods_seen.outcome_of(message)):
                return found
        return pods_seen.outcome_of("\n".join(self.lines))


async def settle(
    cluster: Cluster, handle: Handle, seen: Status, subject: Subject, on_line: Callable[[str], None]
) -> Outcome:
    """Print the logs and return the outcome; raises StepFailed, or TryAgain where the object is no longer ours."""
    if seen.phase in (status.GONE, status.TAKEN):
        raise TryAgain(seen.words, next_step="The next try begins it again or adopts it.")
    logs = await _logs(cluster, handle, on_line)
    if seen.phase == status.SUCCEEDED:
        return _outcome(handle, logs, subject)
    assert seen.failure is not None
    outcome = await _failed_outcome(cluster, handle, seen.failure, logs, subject)
    with contextlib.suppress(SpavlError):  # what went wrong first is told; the sweep removes what is left
        await _remove_unfinished(cluster, handle)
    raise StepFailed(_told_by_a_rank(outcome))


async def _remove_unfinished(cluster: Cluster, handle: Handle) -> None:
    found = await cluster.get(handle.kind, handle.name)
    if found is not None and not status.is_finished(found):
        await life.remove(cluster, handle)


async def _logs(cluster: Cluster, handle: Handle, on_line: Callable[[str], None]) -> list[ShardLog]:
    """The log of each shard's newest pod, in order of shards; a pod that succeeded counts as the newest."""
    chosen: dict[int, Json] = {}
    for pod in await pods_of(cluster, handle):
        shard = pods_seen.shard_of(pod)
        if shard not in chosen or _rank(pod) > _rank(chosen[shard]):
            chosen[shard] = pod
    logs = []
    for shard, pod in sorted(chosen.items()):
        log = ShardLog(pod, await _last_lines(cluster, pod["metadata"]["name"], handle.client))
        logs.append(log)
        prefix = f"[{shard}/{max(len(chosen), handle.num_shards)}] " if len(chosen) > 1 else ""
        for line in log.lines:
            if not parse_safely(line):
                on_line(prefix + line)
    return logs


def _rank(pod: Json) -> tuple[bool, str]:
    return pods_seen.phase_of(pod) == "Succeeded", pod["metadata"].get("creationTimestamp") or ""


async def _last_lines(cluster: Cluster, pod: str, container: str, is_former: bool = False) -> list[str]:
    """At most 1 MB: the API server would cut the newest lines off, so fewer are asked for instead."""
    text = ""
    for num_lines in NUM_LINES:
        text = await cluster.log(pod, container, num_lines=num_lines, num_bytes=NUM_BYTES, previous=is_former)
        if len(text.encode()) < NUM_BYTES:
            break
    return text.splitlines()


def _outcome(handle: Handle, logs: Sequence[ShardLog], subject: Subject) -> Outcome:
    """The command's own, or for several shards the sum of their counts."""
    outcomes = [found for log in logs if (found := log.outcome(handle.client))]
    if subject.step == "work":
        return Outcome(subject.stage, "work", subject.run_id, counts=_sum_counts(outcomes))
    if not outcomes:
        raise TryAgain(
            f"{handle.words} succeeded, but its pod and with it its outcome line are gone.",
            next_step="The next try asks again, which costs little.",
        )
    return outcomes[0]


def _sum_counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for outcome in outcomes:
        for name, value in outcome.counts.items():
            counts[name] = counts.get(name, 0) + value
    return counts


async def _failed_outcome(
    cluster: Cluster, handle: Handle, failure: Failure, logs: Sequence[ShardLog], subject: Subject
) -> Outcome:
    """The command's own words where it left some, then the container, how it ended, and its last lines."""
    lines: list[str] = []
    if failure.pod and failure.container:
        lines = await _last_lines(cluster, failure.pod, failure.container, failure.is_former)
    said = failure.outcome or pods_seen.outcome_of("\n".join(lines))
    lines = [line for line in lines if line.strip() and not parse_safely(line)]
    if said and said.error:
        lines = [line for line in lines if said.error not in line]  # once is enough
    last = lines[-(NUM_LAST_LINES_BESIDE_AN_OUTCOME if said else NUM_LAST_LINES) :]
    where = f"{handle.words}: {failure.error}" + (f" Its last lines: {' | '.join(last)}" if last else "")
    exit_code = said.exit_code if said and said.exit_code else failure.exit_code
    return Outcome(
        subject.stage,
        subject.step,
        subject.run_id,
        verdict="again" if exit_code == EXIT_AGAIN else verdict_of(exit_code),
        exit_code=exit_code,
        counts=said.counts if said else {},
        error=f"{said.error} ({where})" if said and said.error else where,
        next_step=(said.next_step if said else "") or failure.next_step,
    )


def _told_by_a_rank(outcome: Outcome) -> Outcome:
    """In place of torchrun's exit code 1, which says nothing: the reason that one of its ranks left in the store."""
    if (
        outcome.exit_code != EXIT_BUG
        or BY_NAME[outcome.stage].runs_on != "training"
        or outcome.step != "work"
    ):
        return outcome
    told = None
    with contextlib.suppress(SpavlError, OSError):
        told = kept_failure.read(open_store(), outcome.run_id, outcome.stage)
    return replace(told, error=f"{told.error} ({outcome.error})") if told else outcome


def parse_safely(line: str) -> Outcome | None:
    """The outcome a line holds; None for any other, and for one of a version with other fields."""
    try:
        return parse(line)
    except TypeError:
        return None
