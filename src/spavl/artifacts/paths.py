"""Paths of a store: made of safe characters, relative to its root, never climbing out."""

from __future__ import annotations

import re

from spavl.errors import UserError

_SAFE = re.compile(r"^[A-Za-z0-9._=@+-]+(/[A-Za-z0-9._=@+-]+)*$")


def safe(path: str) -> str:
    """The path itself; raises UserError if it is none of a store."""
    if not _SAFE.match(path) or ".." in path.split("/"):
        raise UserError(
            f"{path!r} is not a safe path of the store.",
            next_step="Letters, digits, '.', '_', '-' and '/' are allowed.",
        )
    return path
