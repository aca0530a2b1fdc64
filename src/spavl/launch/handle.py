"""One object on a cluster and the try that owns it: what a trigger keeps, and how an object's annotations are read."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass
from typing import Any

from spavl.launch import names
from spavl.launch.pods_seen import Json

POD_LABELS = {names.JOB: "batch.kubernetes.io/job-name", names.TRAINJOB: "jobset.sigs.k8s.io/jobset-name"}


@dataclass(frozen=True)
class Handle:
    """One object and the try that owns it; JSON values only, so that a trigger can keep it."""

    kind: str
    namespace: str
    base_name: str
    owner: str
    client: str  # container that does the work
    num_shards: int
    queue: str | None = None
    name: str = ""  # "" while something of a former object is still leaving: wait, then begin again
    uid: str = ""
    is_adopted: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def words(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name or self.base_name}"

    @property
    def how(self) -> str:
        """How it began, in words."""
        if not self.name:
            return "has to wait for a former one to end"
        return "is adopted" if self.is_adopted else "is made"


def annotation(found: Json, name: str) -> str:
    return str((found["metadata"].get("annotations") or {}).get(name, ""))


def generation(found: Json) -> int:
    written = annotation(found, names.GENERATION)
    return int(written) if written.isdecimal() else 0


def is_terminating(found: Json) -> bool:
    return bool(found["metadata"].get("deletionTimestamp"))


def now_text() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
