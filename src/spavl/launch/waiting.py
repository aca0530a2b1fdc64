"""Since when an object waits for a pod to start: what `pending_timeout_s` is counted from. Pure: the object and its pods in."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from spavl.launch import pods_seen
from spavl.launch.pods_seen import Json, moment


def since(found: Json, pods: Sequence[Json]) -> datetime.datetime:
    """The last time that something went forward: made, admitted by its queue, a pod made or asked to end, a container ended.

    Time in a queue does not count, and neither does what a lost pod had lived: the one in its place waits anew. Between the
    two there may be no pod at all, since a Job puts off the next one; its controller has then just written its status.
    """
    steps = [moment(text) for text in (*_of_object(found), *_of_pods(pods))]
    return max(steps + [ended for pod in pods if (ended := pods_seen.ended_at(pod))])


def _of_object(found: Json) -> Iterator[str]:
    metadata, status = found["metadata"], found.get("status") or {}
    yield metadata["creationTimestamp"]
    if status.get("startTime"):
        yield status["startTime"]
    for condition in status.get("conditions") or []:
        is_admission = condition["type"] == "Suspended" and condition["status"] == "False"
        if is_admission and condition.get("lastTransitionTime"):
            yield condition["lastTransitionTime"]
    for written in metadata.get("managedFields") or []:
        if written.get("subresource") == "status" and written.get("time"):
            yield written["time"]


def _of_pods(pods: Sequence[Json]) -> Iterator[str]:
    for pod in pods:
        times = (pod["metadata"].get("creationTimestamp"), pod["metadata"].get("deletionTimestamp"))
        yield from filter(None, times)
