"""The manifest of a release: written when it is made, checked by whoever loads it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from spavl.errors import UserError
from spavl.stages.release.rows import ReleaseFile

MANIFEST = "manifest.json"
_BLOCK_BYTES = 1 << 20


def write_manifest(folder: Path) -> list[ReleaseFile]:
    """Write `manifest.json` over every file of the folder; returns one row per file, the manifest's own last."""
    rows = [_row(folder, path) for path in _paths(folder)]
    files = {row.path: {"sha256": row.sha256, "num_bytes": row.num_bytes} for row in rows}
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=1, sort_keys=True) + "\n", "utf-8")
    return [*rows, _row(folder, MANIFEST)]


def verify_release(folder: Path) -> list[ReleaseFile]:
    """The files of a release, each as its manifest says; raises UserError where one is missing, changed or not listed."""
    listed = _read_manifest(folder)
    present = set(_paths(folder))
    for kind, paths in (
        ("missing", listed.keys() - present),
        ("not in the manifest", present - listed.keys()),
    ):
        if paths:
            raise _bad(folder, f"{min(paths)!r} is {kind}")
    rows = [_row(folder, path) for path in sorted(listed)]
    for row in rows:
        expected = listed[row.path]
        if (row.sha256, row.num_bytes) != (expected["sha256"], expected["num_bytes"]):
            raise _bad(
                folder,
                f"{row.path!r} has sha256 {row.sha256} and {row.num_bytes} bytes, not {expected['sha256']} "
                f"and {expected['num_bytes']}",
            )
    return rows


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
    except FileNotFoundError:
        raise _bad(folder, f"{MANIFEST} is missing") from None
    except (ValueError, KeyError, TypeError):
        raise _bad(folder, f"{MANIFEST} cannot be read") from None


def _paths(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path != MANIFEST)


def _row(folder: Path, path: str) -> ReleaseFile:
    digest = hashlib.sha256()
    with open(folder / path, "rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return ReleaseFile(path, path, digest.hexdigest(), (folder / path).stat().st_size)


def _bad(folder: Path, what: str) -> UserError:
    return UserError(f"the release in {folder} is not whole: {what}.", next_step="Fetch it again.")
