"""The rows of `captions`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caption:
    """What the model says of one image."""

    id: str  # hash of (image id, model, revision)
    image_id: str
    text: str
    outcome: str
    error: str | None
