"""Checkpoints in the store, so that other machines can go on: `checkpoints/step-000050/`, its manifest written last.

Every rank uploads its own files, since pods share no disk, and rank 0 writes the manifest when all have. A checkpoint without
its manifest does not exist; the newest two are kept. One that was made on other terms is refused, never passed over: to
begin again from step 0 is for a person to decide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl import ranks
from spavl.artifacts.store import Store
from spavl.errors import UserError
from spavl.learning import process_group

KEPT = 2
_MANIFEST = "checkpoint.json"
_OF_ONE_RANK = ("rng_state", "zero_pp_rank_")  # how the names of files begin that only their own rank reads


@dataclass(frozen=True)
class Place:
    """This process among those that save one checkpoint together."""

    rank: int
    num_ranks: int
    gather: Callable[[Any], list[Any]]  # everybody's thing on every rank, once all have come


def own_place() -> Place:
    """This process, among the ranks that the environment tells."""
    return Place(ranks.rank(), ranks.num_ranks(), process_group.gather)


class Checkpoints:
    """The checkpoints of one training run; `terms` are what must be the same to go on from one, in words."""

    def __init__(
        self, store: Store, folder: str, terms: Mapping[str, Any], place: Place | None = None
    ) -> None:
        self._store = store
        self._folder = folder
        self._place = place or own_place()
        self._terms = {**terms, "number of ranks": self._place.num_ranks}

    def save(self, local: Path, step: int) -> None:
        """Upload this rank's part of a checkpoint; it exists once all ranks have. Then drop all but the newest two."""
        path = self._path(step)
        is_first = self._place.rank == 0
        if is_first:
            self._drop(step)  # what a killed process left half written
        self._place.gather(None)  # nobody uploads before that
        mine = self._store.upload(local, f"{path}/{_part(self._place.rank)}")
        parts = self._place.gather(mine)
        if is_first:
            manifest = {"step": step, "terms": self._terms, "ranks": parts}
            self._store.write(f"{path}/{_MANIFEST}", json.dumps(manifest, indent=1, sort_keys=True).encode())
            for old in self._steps()[:-KEPT]:
                self._drop(old)

    def fetch_newest(self, local: Path) -> Path | None:
        """What this rank needs of the newest whole checkpoint, copied to `local`; None where there is none.

        Raises UserError for one that was made on other terms.
        """
        for step in reversed(self._steps()):
            manifest = self._manifest(step)
            if manifest is not None:
                self._refuse_other_terms(step, manifest.get("terms", {}))
                return self._fetch(step, manifest["ranks"], local)
        return None

    def remove_all(self) -> None:
        for step in self._steps():
            self._drop(step)

    def _fetch(self, step: int, parts: list[dict[str, Any]], local: Path) -> Path:
        common = {name: entry for name, entry in parts[0].items() if not _is_of_one_rank(name)}
        self._store.download(f"{self._path(step)}/{_part(0)}", local, common)
        own = parts[self._place.rank]
        return self._store.download(f"{self._path(step)}/{_part(self._place.rank)}", local, own)

    def _refuse_other_terms(self, step: int, seen: Mapping[str, Any]) -> None:
        for name, wanted in self._terms.items():
            if seen.get(name) != wanted:
                raise UserError(
                    f"the checkpoint of step {step} was made with {name} {seen.get(name)}, and this process has {wanted}.",
                    next_step=f"Go on with {name} {seen.get(name)}, or remove {self._store.url_of(self._folder)} to begin from step 0.",
                )

    def _steps(self) -> list[int]:
        names = self._store.names(self._folder)
        return sorted(int(name[5:]) for name in names if name.startswith("step-") and name[5:].isdecimal())

    def _manifest(self, step: int) -> dict[str, Any] | None:
        """What a whole checkpoint says of itself; None where it does not exist, or its manifest was cut off."""
        try:
            manifest = json.loads(self._store.read(f"{self._path(step)}/{_MANIFEST}"))
        except (FileNotFoundError, ValueError):
            return None
        return manifest if isinstance(manifest, dict) and "ranks" in manifest else None

    def _drop(self, step: int) -> None:
        # the manifest goes first: a checkpoint that is half removed must not be taken for a whole one
        self._store.remove(f"{self._path(step)}/{_MANIFEST}")
        self._store.remove(self._path(step))

    def _path(self, step: int) -> str:
        return f"{self._folder}/step-{step:06d}"


def _part(rank: int) -> str:
    return f"rank-{rank:05d}"


def _is_of_one_rank(name: str) -> bool:
    return name.rpartition("/")[2].startswith(_OF_ONE_RANK)
