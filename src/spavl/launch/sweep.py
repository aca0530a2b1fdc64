"""Removes what nobody watches any more: a task that was failed while the triggerer was down never got its `on_kill`.

Two kinds of objects of this installation: live ones whose seen-at is older than `orphaned_after_s`, and finished TrainJobs
older than a day, since Trainer has no time to live. Finished Jobs remove themselves.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.launch import names, status
from spavl.launch.cluster import Cluster
from spavl.launch.handle import annotation, is_terminating
from spavl.launch.pods_seen import Json, moment
from spavl.launch.refusals import Conflict

if TYPE_CHECKING:
    from spavl.config import KubernetesLaunch

FINISHED_TRAINJOB_S = 86400.0


@dataclass(frozen=True)
class Swept:
    """What was found, and what of it was removed and why."""

    num_seen: int
    removed: tuple[str, ...]


async def sweep(launch: KubernetesLaunch, installation: str, now: datetime.datetime | None = None) -> Swept:
    """Remove the installation's abandoned objects; one that changed since it was read is left to the next sweep."""
    now = now or datetime.datetime.now(datetime.UTC)
    num_seen, removed = 0, []
    async with Cluster.of(launch) as cluster:
        for kind in [names.JOB, names.TRAINJOB] if launch.trainjob else [names.JOB]:
            for found in await cluster.list(kind, labels=names.selector(installation)):
                if not _is_of(found, installation):
                    continue
                num_seen += 1
                why = reason(kind, found, launch.orphaned_after_s, now)
                if why and await _delete(cluster, kind, found):
                    removed.append(f"{kind} {launch.namespace}/{found['metadata']['name']}: {why}")
    return Swept(num_seen, tuple(removed))


def reason(kind: str, found: Json, orphaned_after_s: float, now: datetime.datetime) -> str:
    """Why an object should go, "" where it should stay."""
    if is_terminating(found):
        return ""
    if status.is_finished(found):
        age_s = (now - _finished_at(found)).total_seconds()
        if kind == names.TRAINJOB and age_s > FINISHED_TRAINJOB_S:
            return f"finished {age_s / 3600:.0f} hours ago"
        return ""
    unseen_s = (now - _seen_at(found)).total_seconds()
    if unseen_s > orphaned_after_s:
        return f"nobody has watched it for {unseen_s / 60:.0f} minutes (launch.orphaned_after_s is {orphaned_after_s:.0f} s)"
    return ""


def _is_of(found: Json, installation: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    return all(
        f"{name}={labels.get(name)}" in names.selector(installation).split(",")
        for name in (names.LABEL_MANAGED_BY, names.LABEL_INSTALLATION)
    )


def _seen_at(found: Json) -> datetime.datetime:
    try:
        return moment(annotation(found, names.SEEN_AT))
    except ValueError:  # somebody else wrote it, or nobody
        return moment(found["metadata"]["creationTimestamp"])


def _finished_at(found: Json) -> datetime.datetime:
    conditions = (found.get("status") or {}).get("conditions") or []
    times = [one.get("lastTransitionTime") for one in conditions if one["type"] in ("Complete", "Failed")]
    return moment(next((time for time in times if time), found["metadata"]["creationTimestamp"]))


async def _delete(cluster: Cluster, kind: str, found: Json) -> bool:
    metadata = found["metadata"]
    try:
        await cluster.delete(kind, metadata["name"], metadata["uid"], metadata["resourceVersion"])
    except Conflict:
        return False
    return True
