"""What a step of a run wants from a cluster: one object, complete but for what each try adds to it."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.launch import jobs, names, trainjob
from spavl.launch.unit import unit_of

if TYPE_CHECKING:
    from spavl.plan import Plan


@dataclass(frozen=True)
class Wanted:
    """A Job or a TrainJob to be made, adopted or replaced. Equal work gives an equal `base_name` and `spec_hash`."""

    kind: str  # "Job" or "TrainJob"
    base_name: str
    namespace: str
    manifest: dict[str, Any]  # complete but for metadata.name, owner, seen-at, generation
    num_shards: int
    container: str  # whose logs and termination messages count: "spavl" or "node"
    queue: str | None  # Kueue LocalQueue that must admit it first
    spec_hash: str

    def named(self, generation: int, owner: str, seen_at: str) -> dict[str, Any]:
        """The object to create: `owner` is the id of the try, `seen_at` now in UTC, ISO 8601."""
        made = copy.deepcopy(self.manifest)
        metadata = made["metadata"]
        metadata["name"] = names.object_name(self.base_name, generation)
        metadata["annotations"] |= {
            names.GENERATION: str(generation),
            names.OWNER: owner,
            names.SEEN_AT: seen_at,
        }
        return made


def from_manifest(
    manifest: dict[str, Any], *, base_name: str, num_shards: int, container: str, queue: str | None
) -> Wanted:
    """The Wanted of a manifest that has no name yet; its spec hash is written into it."""
    hashed = spec_hash(manifest)
    manifest = copy.deepcopy(manifest)
    manifest["metadata"].setdefault("annotations", {})[names.SPEC_HASH] = hashed
    return Wanted(
        kind=manifest["kind"],
        base_name=base_name,
        namespace=manifest["metadata"]["namespace"],
        manifest=manifest,
        num_shards=num_shards,
        container=container,
        queue=queue,
        spec_hash=hashed,
    )


def spec_hash(manifest: dict[str, Any]) -> str:
    """sha256 of the canonical manifest: name, owner, seen-at and generation are not in it yet."""
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def wanted(plan: Plan, stage: str, step: str, group: str | None = None, num_shards: int = 1) -> Wanted:
    """The object that does a step, or all shards of one group, of a planned run.

    Raises UserError where the profile leaves out what a pod needs: an image, the store.
    """
    unit = unit_of(plan, stage, step, group, num_shards)
    is_trainjob = unit.trains and unit.launch.trainjob is not None
    return from_manifest(
        trainjob.train_job(unit) if is_trainjob else jobs.job(unit),
        base_name=unit.base_name,
        num_shards=num_shards,
        container=names.NODE if is_trainjob else names.CLIENT,
        queue=unit.needs.pod.queue,
    )
