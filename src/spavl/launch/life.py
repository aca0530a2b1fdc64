"""The life of one object on a cluster: begun or adopted, watched, removed. The same for a Job and a TrainJob.

There is never a second live object for one piece of work. Whoever begins it writes the id of its try into the owner
annotation; whoever is not the owner (any more) changes nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from spavl.errors import TryAgain, UserError
from spavl.launch import names, pods_seen, status
from spavl.launch.cluster import Cluster
from spavl.launch.handle import POD_LABELS, Handle, annotation, generation, is_terminating, now_text
from spavl.launch.look import not_ours
from spavl.launch.pods_seen import Json, moment
from spavl.launch.refusals import Conflict, Forbidden
from spavl.launch.wanted import Wanted

NUM_CONFLICTS = 20  # readings of an object that others keep changing, before we give up for now
# Past its grace period, a leaving pod sits on a lost node; should it still run there, the store's leases keep it harmless.
LEAVING_FOR_EVER_S = 60.0


def unnamed(wanted: Wanted, owner: str) -> Handle:
    """A handle before anything is begun."""
    return Handle(
        wanted.kind,
        wanted.namespace,
        wanted.base_name,
        owner,
        wanted.container,
        wanted.num_shards,
        wanted.queue,
    )


async def begin(
    cluster: Cluster, wanted: Wanted, owner: str, *, before_create: Callable[[], None] = lambda: None
) -> Handle:
    """Make the object, or adopt the live one of the same work. A handle without a name says: first wait for `is_clear`.

    A live object of another spec is removed. Raises UserError where the object can never run (no such queue or kind).
    """
    handle = unnamed(wanted, owner)
    for _ in range(NUM_CONFLICTS):
        known = await _known(cluster, wanted.kind, wanted.base_name)
        live = [found for found in known if not status.is_finished(found)]
        if any(is_terminating(found) for found in live) or await _pods_leaving(
            cluster, wanted.kind, wanted.base_name, known
        ):
            return handle
        try:
            if live:
                return await _take_over(cluster, wanted, handle, live)
            if made := await _create(cluster, wanted, owner, known, before_create):
                return replace(handle, name=made["metadata"]["name"], uid=made["metadata"]["uid"])
        except Conflict:
            pass  # somebody changed or made it meanwhile: read again
    raise TryAgain(f"{handle.words} is being changed by somebody else all the time.")


async def _known(cluster: Cluster, kind: str, base: str) -> list[dict[str, Any]]:
    """All generations, oldest first."""
    found = await cluster.list(kind, labels=f"{names.LABEL_OBJECT}={base}")
    known = [one for one in found if (one["metadata"].get("labels") or {}).get(names.LABEL_OBJECT) == base]
    return sorted(known, key=generation)


async def _take_over(cluster: Cluster, wanted: Wanted, handle: Handle, live: list[dict[str, Any]]) -> Handle:
    """Adopt the newest live object where its spec is the wanted one; remove any other."""
    *former, newest = live
    if annotation(newest, names.SPEC_HASH) != wanted.spec_hash:
        former, newest = live, None
    for found in former:
        await _delete(cluster, wanted.kind, found)
    if newest is None:
        return handle
    adopted = await _annotate(
        cluster, wanted.kind, newest, {names.OWNER: handle.owner, names.SEEN_AT: now_text()}
    )
    if adopted is None:
        raise Conflict("it went away")
    return replace(handle, name=adopted["metadata"]["name"], uid=adopted["metadata"]["uid"], is_adopted=True)


async def _create(
    cluster: Cluster,
    wanted: Wanted,
    owner: str,
    known: list[dict[str, Any]],
    before_create: Callable[[], None],
) -> dict[str, Any] | None:
    if wanted.queue:
        await _check_queue(cluster, wanted.queue)
    before_create()
    next_generation = 1 + max((generation(found) for found in known), default=0)
    return await cluster.create(wanted.kind, wanted.named(next_generation, owner, now_text()))


async def _check_queue(cluster: Cluster, queue: str) -> None:
    try:
        if await cluster.has_queue(queue):
            return
    except Forbidden:
        return  # not ours to read: the object then waits in a queue that may not exist
    raise UserError(
        f"there is no LocalQueue {queue!r} in namespace {cluster.namespace!r}: its jobs would wait for ever.",
        next_step="Create it, or correct `queue` in the profile's launch section.",
    )


async def is_clear(cluster: Cluster, handle: Handle) -> str:
    """What of a former object is still there, in words; "" where a new one can begin."""
    known = await _known(cluster, handle.kind, handle.base_name)
    for found in known:
        if is_terminating(found) and not status.is_finished(found):
            return f"{handle.kind} {found['metadata']['name']} is being removed"
    leaving = await _pods_leaving(cluster, handle.kind, handle.base_name, known)
    return f"pod {leaving} is ending" if leaving else ""


async def _pods_leaving(cluster: Cluster, kind: str, base: str, known: list[dict[str, Any]]) -> str:
    """Name of a pod of the same work that still runs although its object is gone or finished; one on a lost node does not count."""
    live = {found["metadata"]["name"] for found in known if not status.is_finished(found)}
    now = datetime.datetime.now(datetime.UTC)
    for pod in await cluster.list("Pod", labels=f"{names.LABEL_OBJECT}={base}"):
        labels = pod["metadata"].get("labels") or {}
        leaves_at = pod["metadata"].get("deletionTimestamp")
        if labels.get(names.LABEL_OBJECT) != base or labels.get(POD_LABELS[kind]) in live:
            continue
        if pods_seen.phase_of(pod) in ("Succeeded", "Failed"):
            continue
        if not leaves_at or (now - moment(leaves_at)).total_seconds() < LEAVING_FOR_EVER_S:
            return str(pod["metadata"]["name"])
    return ""


async def renew(cluster: Cluster, handle: Handle) -> bool:
    """Write that somebody watches; False where the object is not ours (any more)."""
    found = await cluster.get(handle.kind, handle.name)
    if found is None or not_ours(handle, found):
        return False
    try:
        return await _annotate(cluster, handle.kind, found, {names.SEEN_AT: now_text()}) is not None
    except Conflict:
        return True  # its status changed meanwhile; the next renewal will do


async def remove(cluster: Cluster, handle: Handle) -> str:
    """Remove the object and its pods if this try still owns it; says in words what was done.

    A handle without a name removes whatever live object the try owns: it may have been stopped while it was beginning.
    """
    for _ in range(NUM_CONFLICTS):
        if handle.name:
            found = await cluster.get(handle.kind, handle.name)
        else:
            known = await _known(cluster, handle.kind, handle.base_name)
            own = (one for one in known if annotation(one, names.OWNER) == handle.owner)
            found = next((one for one in own if not status.is_finished(one)), None)
        if found is None or (handle.uid and found["metadata"]["uid"] != handle.uid):
            return f"{handle.words} {'is gone already' if handle.name else 'was not made'}"
        if annotation(found, names.OWNER) != handle.owner:
            return f"{handle.words} is left alone: another try watches it"
        if is_terminating(found):
            return f"{handle.words} is being removed already"
        try:
            await _delete(cluster, handle.kind, found)
        except Conflict:
            continue
        return f"{handle.kind} {handle.namespace}/{found['metadata']['name']} is removed"
    raise TryAgain(f"{handle.words} is being changed by somebody else all the time; it was not removed.")


async def _delete(cluster: Cluster, kind: str, found: Json) -> None:
    metadata = found["metadata"]
    await cluster.delete(kind, metadata["name"], metadata["uid"], metadata["resourceVersion"])


async def _annotate(
    cluster: Cluster, kind: str, found: Json, annotations: dict[str, str]
) -> dict[str, Any] | None:
    """Change annotations of the very version that was read; raises Conflict where it is no longer the newest."""
    metadata = found["metadata"]
    change = {
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "annotations": annotations,
    }
    return await cluster.patch(kind, metadata["name"], {"metadata": change})
