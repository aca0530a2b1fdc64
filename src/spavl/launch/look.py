"""One look at an object: what it is doing now, its pods, and the newest progress line of a shard."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from typing import Any

from spavl.launch import names, pods_seen, status
from spavl.launch.cluster import Cluster
from spavl.launch.handle import POD_LABELS, Handle, annotation, is_terminating
from spavl.launch.pods_seen import Json
from spavl.launch.status import Limits, Seen, Status

NUM_PODS_ASKED = 3  # pods whose events are read in one look
PROGRESS_LINES, PROGRESS_BYTES = 20, 65536
PROGRESS = re.compile(r"^\w+: \d+/\d+ \(")  # as context.Progress writes it


async def look(cluster: Cluster, handle: Handle, limits: Limits) -> Status:
    """What the object is doing now, with the newest progress line of a shard that is at work."""
    found = await cluster.get(handle.kind, handle.name)
    if whose := not_ours(handle, found):
        return whose
    assert found is not None
    pods = await pods_of(cluster, handle)
    seen = Seen(
        found,
        pods,
        await _events(cluster, handle, found, pods),
        handle.client,
        handle.num_shards,
        handle.queue,
    )
    judged = status.judge(seen, limits, datetime.datetime.now(datetime.UTC))
    if not judged.working_pod:
        return judged
    lines = await cluster.log(
        judged.working_pod, handle.client, num_lines=PROGRESS_LINES, num_bytes=PROGRESS_BYTES
    )
    progress = next((line for line in reversed(lines.splitlines()) if PROGRESS.match(line)), "")
    prefix = f"[{judged.working_shard}/{handle.num_shards}] " if handle.num_shards > 1 else ""
    return replace(judged, progress=prefix + progress if progress else "")


def not_ours(handle: Handle, found: Json | None) -> Status | None:
    """The end of a watch over an object that is gone, or that another try owns."""
    if found is None or found["metadata"]["uid"] != handle.uid:
        return Status(status.GONE, f"{handle.words} was removed by somebody else.")
    if annotation(found, names.OWNER) != handle.owner:
        return Status(status.TAKEN, f"{handle.words} is watched by another try now.")
    if is_terminating(found) and not status.is_finished(found):
        return Status(status.GONE, f"{handle.words} is being removed by somebody else.")
    return None


async def pods_of(cluster: Cluster, handle: Handle) -> list[dict[str, Any]]:
    """All pods of the object, finished ones too."""
    label = POD_LABELS[handle.kind]
    found = await cluster.list("Pod", labels=f"{label}={handle.name}")
    return [pod for pod in found if (pod["metadata"].get("labels") or {}).get(label) == handle.name]


async def _events(cluster: Cluster, handle: Handle, found: Json, pods: list[dict[str, Any]]) -> list[Json]:
    """Events that may say why something waits; none are read of what runs or is finished."""
    waiting = [pod["metadata"]["name"] for pod in pods if pods_seen.phase_of(pod) == "Pending"]
    if status.is_finished(found) or (
        not waiting and any(pods_seen.works(pod, handle.client) for pod in pods)
    ):
        return []
    about = [handle.name, *waiting[:NUM_PODS_ASKED]]
    if handle.kind == names.TRAINJOB:
        about.append(f"{handle.name}-{names.NODE}-0")  # the job that JobSet makes
    events: list[Json] = []
    for name in about:
        events += await cluster.list("Event", fields=f"involvedObject.name={name}")
    return events
