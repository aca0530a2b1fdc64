"""What a training run leaves in the store for its stage's `seal`: folders, and last the manifest that makes them whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spavl.artifacts.store import Store
from spavl.errors import UserError
from spavl.stages.dataset.rows import DatasetRow

MANIFEST = "model_manifest.json"


def leave_in_store(
    store: Store,
    stage_folder: str,
    folders: Mapping[str, Path | None],
    counts: Mapping[str, int],
    details: Mapping[str, Any],
) -> None:
    """Upload the folders that were made, then the manifest."""
    uploaded: dict[str, Any] = {}
    for name, local in folders.items():
        if local is not None:
            path = f"{stage_folder}/{name}"
            uploaded[name] = {"path": path, "files": store.upload(local, path)}
    made = {"folders": uploaded, "counts": dict(counts), "details": dict(details)}
    store.write(f"{stage_folder}/{MANIFEST}", json.dumps(made, indent=1, sort_keys=True).encode())


def read_left_in_store(store: Store, stage_folder: str) -> dict[str, Any]:
    """`{"folders", "counts", "details"}`; raises UserError where the store has lost some of it or it is damaged."""
    try:
        made = json.loads(store.read(f"{stage_folder}/{MANIFEST}"))
    except FileNotFoundError:
        raise UserError(
            f"the training in {store.url_of(stage_folder)} left no model in the store.",
            next_step="Start a new run.",
        ) from None
    for folder in made["folders"].values():
        for name, entry in folder["files"].items():
            _check_file(store, f"{folder['path']}/{name}", entry["sha256"])
    return made


def fetch_images(store: Store, rows: Iterable[DatasetRow], folder: Path) -> dict[str, Path]:
    """Image id to a local file with its bytes; a file is read when its pair is due, so few are in memory."""
    rows = list(rows)
    for row in rows:
        if not row.image_id:
            raise UserError(
                f"the pair {row.id} of the dataset version has no image.",
                next_step="Start a new run of refresh_preferences.",
            )
    folder.mkdir(exist_ok=True)
    paths = {row.image_id: folder / row.image_id for row in rows}
    for image_id, path in paths.items():
        path.write_bytes(store.get_blob(image_id))
    return paths


def _check_file(store: Store, path: str, sha256: str) -> None:
    try:
        seen = store.sha256_of(path)
    except FileNotFoundError:
        seen = "missing"
    if seen != sha256:
        raise UserError(
            f"{store.url_of(path)} is damaged: its sha256 is {seen}, recorded is {sha256}.",
            next_step="Start a new run.",
        )
