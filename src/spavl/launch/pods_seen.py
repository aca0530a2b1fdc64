"""What one pod's status says: how far it is, what it waits for, why it failed. Pure: objects in, words out.

A trouble is `is_final` where waiting cannot help: somebody has to create or correct what it names.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from spavl.errors import EXIT_AGAIN, EXIT_BUG
from spavl.launch import names
from spavl.outcome import Outcome, parse

Json = Mapping[str, Any]
SHARD = "batch.kubernetes.io/job-completion-index"
IMAGE_TROUBLES = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")  # fmt: skip
IMAGE_IS_NOT_THERE = (
    "not found", "manifest unknown", "denied", "unauthorized", "authentication required", "does not exist",
    "invalidimagename", "errimageneverpull", "invalid reference",
)  # fmt: skip
_MISSING = re.compile(r'(secret|configmap|persistentvolumeclaim)s? "([^"]+)" not found')
_MISSING_KEY = re.compile(r"couldn't find key (\S+) in (Secret|ConfigMap) (\S+)")
_KINDS = {"secret": "Secret", "configmap": "ConfigMap", "persistentvolumeclaim": "PersistentVolumeClaim"}
_WHERE = {
    "secret": "`secrets` of the profile's launch section",
    "configmap": "the profile",
    "persistentvolumeclaim": "launch.model_cache_claim",
}
_OVER_DISK = re.compile(r"exceed(s|ed) (the|its) (local ephemeral storage |total )?limit")
_SIGNALS = {137: "SIGKILL", 143: "SIGTERM", 139: "a crash (SIGSEGV)", 134: "a crash (SIGABRT)"}


class Trouble(NamedTuple):
    """Why a pod does not start."""

    words: str
    next_step: str = ""
    is_final: bool = False


@dataclass(frozen=True)
class Failure:
    """Why the work failed, and whose last lines tell more."""

    error: str
    next_step: str = ""
    exit_code: int = EXIT_AGAIN
    pod: str = ""
    container: str = ""
    is_former: bool = False  # the container was started again: the lines are those of its former life
    outcome: Outcome | None = None  # what the command said of itself


def shard_of(pod: Json) -> int:
    """The shard, or a training's node, that the pod does."""
    metadata = pod["metadata"]
    for found in (metadata.get("annotations") or {}, metadata.get("labels") or {}):
        if SHARD in found:
            return int(found[SHARD])
    return 0


def phase_of(pod: Json) -> str:
    return (pod.get("status") or {}).get("phase") or "Pending"


def is_leaving(pod: Json) -> bool:
    """It was asked to end, or nobody knows its node's state: it no longer counts."""
    return bool(pod["metadata"].get("deletionTimestamp")) or phase_of(pod) == "Unknown"


def containers(pod: Json) -> list[Json]:
    """The states of its containers, init containers first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def state(container: Json, name: str) -> Json:
    return (container.get("state") or {}).get(name) or {}


def works(pod: Json, client: str) -> bool:
    """Whether the container that does the work is running."""
    return any(seen["name"] == client and state(seen, "running") for seen in containers(pod))


def starting(pod: Json) -> str:
    """What goes on before the work, "" where nothing has started yet."""
    running = {seen["name"] for seen in containers(pod) if state(seen, "running")}
    if names.SERVER in running:
        return "the vLLM server loads its model"
    return "the model's weights are fetched" if names.WEIGHTS in running else ""


def over_disk(pod: Json) -> str:
    """The kubelet's words where it evicted the pod for using more disk than the pod's own limit; else ""."""
    status = pod.get("status") or {}
    words = str(status.get("message") or "") if status.get("reason") == "Evicted" else ""
    return " ".join(words.split()).rstrip(".") if _OVER_DISK.search(words) else ""


def disruption(pod: Json) -> str:
    """Why the cluster, not the work, ended the pod: eviction, preemption, a lost node; else ""."""
    status = pod.get("status") or {}
    if over_disk(pod):
        return ""
    for condition in status.get("conditions") or []:
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return f"{condition.get('reason', 'disrupted')}: {condition.get('message', '')}".strip(": ")
    if status.get("reason") in ("Evicted", "NodeLost", "Preempting", "Shutdown", "NodeShutdown", "Terminated"):  # fmt: skip
        return f"{status['reason']}: {status.get('message', '')}".strip(": ")
    return "its node is lost" if phase_of(pod) == "Unknown" else ""


def waits_for(pod: Json, events: Sequence[Json]) -> Trouble | None:
    """What a pod that has not started waits for; None where it is simply on its way. `events` are the pod's."""
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _unscheduled(condition.get("message") or condition.get("reason") or "unschedulable")
    for container in containers(pod):
        waiting = state(container, "waiting")
        reason = waiting.get("reason", "")
        if reason in IMAGE_TROUBLES:
            return _no_image(container.get("image", ""), reason, waiting.get("message", ""), events)
        if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
            words = waiting.get("message", reason)
            return missing(words) or Trouble(f"container {container['name']} cannot start: {words}")
        if reason == "CrashLoopBackOff":
            num_restarts = container.get("restartCount", 0)
            return Trouble(
                f"container {container['name']} has crashed and is started again ({num_restarts} so far)"
            )
    newest = newest_event(events)
    if newest and newest.get("reason") in ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"):
        return missing(newest.get("message", "")) or Trouble(newest.get("message", ""))
    return None


def missing(message: str) -> Trouble | None:
    """The trouble where a message says that an object does not exist."""
    if found := _MISSING.search(message):
        kind, name = found.groups()
        return Trouble(
            f"there is no {_KINDS[kind]} {name!r} in the namespace",
            f"Create it, or correct {_WHERE[kind]}.",
            is_final=True,
        )
    if found := _MISSING_KEY.search(message):
        key, kind, name = found.groups()
        return Trouble(f"{kind} {name!r} has no key {key!r}", "Add the key to it.", is_final=True)
    return None


def _unscheduled(message: str) -> Trouble:
    words = " ".join(message.split())[:400].rstrip(".")
    return missing(message) or Trouble(
        f"no node takes the pod: {words}",
        "Ask for less in the profile's launch section (GPUs, memory, node_selector, tolerations), or add such a node.",
    )


def _no_image(image: str, reason: str, message: str, events: Sequence[Json]) -> Trouble:
    said = [message, *(event.get("message", "") for event in events if event.get("reason") == "Failed")]
    words = next((word for word in reversed(said) if "failed to pull" in word.lower()), message or reason)
    is_final = any(known in " ".join([reason, *said]).lower() for known in IMAGE_IS_NOT_THERE)
    return Trouble(
        f"image {image!r} cannot be pulled: {' '.join(words.split())[:300]}",
        "Push it, or correct launch.images and launch.images.pull_secrets.",
        is_final=is_final,
    )


def crash_looping(pod: Json, num_restarts: int) -> Failure | None:
    """The failure of a pod whose vLLM server was restarted more than `num_restarts` times."""
    for container in containers(pod):
        if container["name"] == names.SERVER and container.get("restartCount", 0) > num_restarts:
            last = (container.get("lastState") or {}).get("terminated") or {}
            why = _how_it_ended(last) if last else "unknown"
            return Failure(
                f"the vLLM server was restarted {container['restartCount']} times (launch.num_server_restarts is {num_restarts}); "
                f"it {why}.",
                "Look at its last lines: memory, GPU, arguments of the model.",
                pod=pod["metadata"]["name"],
                container=names.SERVER,
                is_former=not state(container, "terminated"),
            )
    return None


def why_failed(pod: Json, client: str) -> Failure:
    """What a failed pod says: of its client's container, else of the one that failed before it, else of the pod."""
    name = pod["metadata"]["name"]
    ended = [
        seen for seen in containers(pod) if state(seen, "terminated").get("exitCode", 0) and seen["name"]
    ]
    ended.sort(key=lambda seen: {client: 0, names.SERVER: 2}.get(seen["name"], 1))
    if words := disruption(pod):
        return Failure(
            f"pod {name} was taken away: {words}.", "It may be tried again.", pod=name, container=client
        )
    if words := over_disk(pod):
        return Failure(
            f"pod {name} used more disk than its limit: {words}.",
            "Raise `scratch` of its pods in the profile's launch section; `model_cache_size` for the volume models.",
            pod=name,
            container=client,
        )
    if not ended:
        status = pod.get("status") or {}
        words = f"{status.get('reason') or 'failed'}: {status.get('message') or 'no container says why'}"
        return Failure(f"pod {name} {words}.", pod=name, exit_code=EXIT_BUG)
    first = ended[0]
    terminated = state(first, "terminated")
    outcome = outcome_of(terminated.get("message", ""))
    exit_code = outcome.exit_code if outcome and outcome.exit_code else terminated["exitCode"]
    is_memory = terminated.get("reason") == "OOMKilled"
    return Failure(
        f"container {first['name']} of pod {name} {_how_it_ended(terminated)}.",
        "Raise `memory` of its pods in the profile's launch section." if is_memory else "",
        exit_code=EXIT_AGAIN if is_memory else exit_code,
        pod=name,
        container=first["name"],
        outcome=outcome,
    )


def _how_it_ended(terminated: Json) -> str:
    exit_code = terminated.get("exitCode", 0)
    if terminated.get("reason") == "OOMKilled":
        return f"used more memory than its limit (OOMKilled, exit code {exit_code})"
    if exit_code in _SIGNALS:
        return f"was ended by {_SIGNALS[exit_code]} (exit code {exit_code})"
    reason = terminated.get("reason", "Error")
    return f"ended with exit code {exit_code}" + ("" if reason == "Error" else f" ({reason})")


def outcome_of(text: str) -> Outcome | None:
    """The last outcome line of a termination message or a log."""
    for line in reversed(text.strip().splitlines()):
        try:
            if found := parse(line.strip()):
                return found
        except TypeError:  # of another version of spavl, with other fields
            continue
    return None


def newest_event(events: Iterable[Json]) -> Json | None:
    return max(events, key=event_time, default=None)


def event_time(event: Json) -> str:
    """ISO times of one server in one zone: they sort as text."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"), event.get("firstTimestamp"))  # fmt: skip
    return next((time for time in times if time), "")


def ended_at(pod: Json) -> datetime.datetime | None:
    """When its last container ended, in this life or its former one."""
    lives = [seen.get(name) or {} for seen in containers(pod) for name in ("state", "lastState")]
    times = [(life.get("terminated") or {}).get("finishedAt") for life in lives]
    return max((moment(time) for time in times if time), default=None)


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
