"""Checkpoints in the store, so that another machine can go on: `checkpoints/step-000050/`, its manifest written last.

A checkpoint without its manifest, or of another recipe, does not exist; two whole ones are kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spavl.artifacts.store import Store

KEPT = 2
_MANIFEST = "checkpoint.json"


class Checkpoints:
    """The checkpoints of one training run; `fingerprint` names everything that decides its weights."""

    def __init__(self, store: Store, folder: str, fingerprint: str) -> None:
        self._store = store
        self._folder = folder
        self._fingerprint = fingerprint

    def save(self, local: Path, step: int) -> None:
        """Upload a whole checkpoint, then drop all but the newest two."""
        path = self._path(step)
        self._drop(step)  # what a killed process left half written
        files = self._store.upload(local, f"{path}/files")
        manifest = {"fingerprint": self._fingerprint, "step": step, "files": files}
        self._store.write(f"{path}/{_MANIFEST}", json.dumps(manifest, indent=1, sort_keys=True).encode())
        for old in self._steps()[:-KEPT]:
            self._drop(old)

    def fetch_newest(self, local: Path) -> Path | None:
        """The newest whole checkpoint of this recipe, copied to `local`; None where there is none."""
        for step in reversed(self._steps()):
            manifest = self._manifest(step)
            if manifest is not None and manifest["fingerprint"] == self._fingerprint:
                return self._store.download(f"{self._path(step)}/files", local, manifest["files"])
        return None

    def remove_all(self) -> None:
        for step in self._steps():
            self._drop(step)

    def _steps(self) -> list[int]:
        names = self._store.names(self._folder)
        return sorted(int(name.removeprefix("step-")) for name in names if name.startswith("step-"))

    def _manifest(self, step: int) -> dict[str, Any] | None:
        try:
            return json.loads(self._store.read(f"{self._path(step)}/{_MANIFEST}"))
        except FileNotFoundError:
            return None

    def _drop(self, step: int) -> None:
        # the manifest goes first: a checkpoint that is half removed must not be taken for a whole one
        self._store.remove(f"{self._path(step)}/{_MANIFEST}")
        self._store.remove(self._path(step))

    def _path(self, step: int) -> str:
        return f"{self._folder}/step-{step:06d}"
