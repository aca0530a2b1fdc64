"""What the state of a Job or a TrainJob means for whoever waits: a phase, words, and a failure that names the cause.

Pure: the object, its pods and events, and the time, in. What fails at once, what fails after `pending_timeout_s` and what
may wait for ever (a queue) is decided here and nowhere else.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spavl.errors import EXIT_AGAIN, EXIT_BUG, EXIT_CHECK_FAILED, EXIT_USER
from spavl.launch import pods_seen, waiting
from spavl.launch.pods_seen import Failure, Json, Trouble, phase_of

QUEUED, PENDING, RUNNING, SUCCEEDED, FAILED = "queued", "pending", "running", "succeeded", "failed"
_LOST_NODE = "If its node is lost, remove the Node object; the next try does not wait for the pod."
GONE = "gone"  # removed by somebody else
TAKEN = "taken"  # another try watches the object now
ENDED = (SUCCEEDED, FAILED, GONE, TAKEN)


@dataclass(frozen=True)
class Limits:
    """From the profile's launch section."""

    pending_timeout_s: float
    num_server_restarts: int


@dataclass(frozen=True)
class Status:
    """One look at an object."""

    phase: str
    words: str
    progress: str = ""  # the newest progress line of a shard
    failure: Failure | None = None
    working_pod: str = ""  # a pod whose log holds progress
    working_shard: int = 0


@dataclass(frozen=True)
class Seen:
    """Everything that one look read."""

    object: Json
    pods: Sequence[Json]
    events: Sequence[Json]  # of the object and of its pods
    client: str  # the container that does the work
    num_shards: int
    queue: str | None = None

    def events_of(self, name: str) -> list[Json]:
        return [event for event in self.events if (event.get("involvedObject") or {}).get("name", "") == name]

    def events_of_owners(self) -> list[Json]:
        """Events that are of no pod: the object's own, and of the jobs that its operator makes."""
        pods = {pod["metadata"]["name"] for pod in self.pods}
        return [
            event for event in self.events if (event.get("involvedObject") or {}).get("name", "") not in pods
        ]


def is_finished(found: Json) -> bool:
    return bool(_condition(found, "Complete") or _condition(found, "Failed"))


def is_suspended(found: Json) -> bool:
    return bool((found.get("spec") or {}).get("suspend")) or bool(_condition(found, "Suspended"))


def judge(seen: Seen, limits: Limits, now: datetime.datetime) -> Status:
    """What one look means."""
    if _condition(seen.object, "Complete"):
        return Status(SUCCEEDED, "succeeded")
    if failed := _condition(seen.object, "Failed"):
        return _failed(seen, failed)
    if is_suspended(seen.object):
        return Status(QUEUED, _queued_words(seen))
    for pod in seen.pods:
        has_ended = phase_of(pod) in ("Succeeded", "Failed")  # the Job decides what follows
        if not has_ended and (crash := pods_seen.crash_looping(pod, limits.num_server_restarts)):
            return Status(FAILED, crash.error, failure=crash)
    working = [
        pod for pod in seen.pods if not pods_seen.is_leaving(pod) and pods_seen.works(pod, seen.client)
    ]
    getting_ready = [pod for pod in seen.pods if not pods_seen.is_leaving(pod) and pods_seen.starting(pod)]
    trouble = _trouble(seen)
    if trouble and trouble.is_final:
        failure = Failure(f"{trouble.words}.", trouble.next_step, exit_code=EXIT_USER)
        return Status(FAILED, trouble.words, failure=failure)
    if working or getting_ready:
        return _running(seen, working, getting_ready, trouble)
    return _pending(seen, trouble, limits, now)


def _queued_words(seen: Seen) -> str:
    newest = pods_seen.newest_event(seen.events_of(seen.object["metadata"]["name"]))
    said = f": {newest['message']}" if newest and newest.get("message") else ""
    if seen.queue:
        return f"waits in queue {seen.queue!r}{said}"
    return f"is suspended, and the profile names no queue{said}"


def _running(
    seen: Seen, working: Sequence[Json], getting_ready: Sequence[Json], trouble: Trouble | None
) -> Status:
    first = min(working, key=pods_seen.shard_of, default=None)
    if first is None:
        words = f"is starting: {pods_seen.starting(getting_ready[0])}"
    elif seen.num_shards == 1:
        words = f"is running{_on_node(first)}"
    else:
        words = f"is running: {_shard_counts(seen, working)}"
    words += "".join(f"; {said}" for said in (_set_back(seen), trouble.words if trouble else "") if said)
    return Status(
        RUNNING,
        words,
        working_pod=first["metadata"]["name"] if first else "",
        working_shard=pods_seen.shard_of(first) if first else 0,
    )


def _on_node(pod: Json) -> str:
    node = (pod.get("spec") or {}).get("nodeName")
    return f" on node {node}" if node else ""


def _shard_counts(seen: Seen, working: Sequence[Json]) -> str:
    done = {pods_seen.shard_of(pod) for pod in seen.pods if phase_of(pod) == "Succeeded"}
    num_done = max(len(done), int((seen.object.get("status") or {}).get("succeeded") or 0))
    num_working = len({pods_seen.shard_of(pod) for pod in working})
    num_waiting = seen.num_shards - num_done - num_working
    return (
        f"{num_done} of {seen.num_shards} shards done, {num_working} at work, {max(0, num_waiting)} to come"
    )


def _set_back(seen: Seen) -> str:
    """The newest pod that was lost or failed and is being replaced."""
    lost = [
        pod
        for pod in seen.pods
        if (phase_of(pod) == "Failed" or phase_of(pod) == "Unknown") and not _has_successor(seen, pod)
    ]
    if not lost:
        return ""
    pod = max(lost, key=lambda one: one["metadata"].get("creationTimestamp") or "")
    failure = pods_seen.why_failed(pod, seen.client)
    who = f"shard {pods_seen.shard_of(pod)}" if seen.num_shards > 1 else "it"
    return f"{who} is tried again: {failure.error.rstrip('.')}"


def _has_successor(seen: Seen, pod: Json) -> bool:
    shard = pods_seen.shard_of(pod)
    return any(pods_seen.shard_of(one) == shard and phase_of(one) == "Succeeded" for one in seen.pods)


def _pending(seen: Seen, trouble: Trouble | None, limits: Limits, now: datetime.datetime) -> Status:
    leaving = _leaving(seen)
    reasons = (trouble.words if trouble else "", leaving, _set_back(seen))
    words = "; ".join(said for said in reasons if said)
    waited_s = (now - waiting.since(seen.object, seen.pods)).total_seconds()
    if waited_s > limits.pending_timeout_s:
        failure = Failure(
            f"no pod could start in {limits.pending_timeout_s:.0f} s (launch.pending_timeout_s): {words or 'no reason is given'}.",
            trouble.next_step
            if trouble
            else _LOST_NODE
            if leaving
            else "Look at the events of the namespace.",
            exit_code=EXIT_AGAIN,
        )
        return Status(FAILED, failure.error, failure=failure)
    return Status(PENDING, f"waits to start{f': {words}' if words else ''}")


def _leaving(seen: Seen) -> str:
    """The pod that must end before another is made in its place."""
    leaving = [pod for pod in seen.pods if pod["metadata"].get("deletionTimestamp") and phase_of(pod) in ("Pending", "Running")]  # fmt: skip
    if not leaving:
        return ""
    pod = min(leaving, key=pods_seen.shard_of)
    why = pods_seen.disruption(pod)
    return f"pod {pod['metadata']['name']} is ending{_on_node(pod)}{f' ({why})' if why else ''}"


def _trouble(seen: Seen) -> Trouble | None:
    """What keeps pods from starting, a final one first."""
    found = [
        trouble
        for pod in seen.pods
        if phase_of(pod) == "Pending" and not pods_seen.is_leaving(pod)
        if (trouble := pods_seen.waits_for(pod, seen.events_of(pod["metadata"]["name"])))
    ]
    if refused := _no_pods(seen):
        found.append(refused)
    return min(found, key=lambda trouble: not trouble.is_final, default=None)


def _no_pods(seen: Seen) -> Trouble | None:
    """Why the cluster does not even make the pods."""
    if any(not pods_seen.is_leaving(pod) and phase_of(pod) in ("Pending", "Running") for pod in seen.pods):
        return None
    newest = pods_seen.newest_event(seen.events_of_owners())
    if newest is None or newest.get("type") != "Warning":
        return None
    words = " ".join(newest.get("message", "").split())[:400].rstrip(".")
    lower = words.lower()
    if "exceeded quota" in lower:
        return Trouble(
            f"no quota for its pods: {words}", "Raise the ResourceQuota, or ask for less in the profile."
        )
    if "serviceaccount" in lower.replace(" ", "") and "not found" in lower:
        return Trouble(words, "Create the service account, or correct launch.service_account.", is_final=True)
    if "priorityclass" in lower.replace(" ", ""):
        return Trouble(words, "Create the PriorityClass, or correct priority_class.", is_final=True)
    if "trainingruntime" in lower:
        return Trouble(
            words,
            "Install the chart's TrainingRuntime, or correct launch.trainjob.runtime.",
            is_final=True,
        )
    is_final = "violates podsecurity" in lower or "is invalid" in lower or "usage per" in lower
    return Trouble(f"no pods are made: {words}", "Correct what it names.", is_final=is_final)


def _failed(seen: Seen, condition: Json) -> Status:
    reason, message = condition.get("reason", ""), condition.get("message", "")
    if reason == "DeadlineExceeded":
        limit_s = (seen.object.get("spec") or {}).get("activeDeadlineSeconds")
        failure = Failure(
            f"stopped after {f'{limit_s} s' if limit_s else 'its deadline'}.",
            "Raise launch.timeout_s.",
            pod=_newest(seen.pods),
            container=seen.client,
        )
        return Status(FAILED, failure.error, failure=failure)
    failures = [pods_seen.why_failed(pod, seen.client) for pod in _failed_pods(seen)]
    if not failures:
        failure = Failure(f"{reason or 'Failed'}: {message or 'no pod of it is left'}.", exit_code=EXIT_BUG)
    else:
        # of all that failed, the one that says most: a mistake or a failed check, then any with words of its own
        failure = min(
            failures,
            key=lambda one: (one.exit_code not in (EXIT_USER, EXIT_CHECK_FAILED), one.outcome is None),
        )
        if seen.num_shards > 1 and message:
            failure = replace(failure, error=f"{failure.error} ({message.rstrip('.')}.)")
    return Status(FAILED, failure.error, failure=failure)


def _failed_pods(seen: Seen) -> list[Json]:
    """Newest first; those that the cluster took away only where there are no others."""
    failed = [pod for pod in seen.pods if phase_of(pod) == "Failed"]
    failed.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
    return [pod for pod in failed if not pods_seen.disruption(pod)] or failed


def _newest(pods: Sequence[Json]) -> str:
    newest = max(pods, key=lambda pod: pod["metadata"].get("creationTimestamp") or "", default=None)
    return newest["metadata"]["name"] if newest else ""


def _condition(found: Json, kind: str) -> Json | None:
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind and one["status"] == "True"), None)
