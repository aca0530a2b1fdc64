"""The rows of `release`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of a release, with its checksum."""

    id: str  # the path
    path: str  # inside the release folder
    sha256: str
    num_bytes: int
