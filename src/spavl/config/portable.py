"""A config as it would be in any home: what is hashed must not change if the home is moved or mounted elsewhere. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOME = "${SPAVL_HOME}"  # as a profile writes it
_FILE = "file://"


def home_free(value: Any, home: Path | str) -> Any:
    """JSON values with HOME in place of `home` in every string that is a path or file:// URL inside it, in lists and mappings too.

    A relative or empty `home`, as plans of former versions have, changes nothing.
    """
    if isinstance(value, str):
        return _text(value, str(home)) if str(home).startswith("/") else value
    if isinstance(value, Mapping):
        return {key: home_free(item, home) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [home_free(item, home) for item in value]
    return value


def _text(text: str, home: str) -> str:
    scheme = _FILE if text.startswith(_FILE) else ""
    path = text.removeprefix(scheme)
    if not path.startswith("/"):
        return text
    inside = posixpath.relpath(path, home)
    if inside == ".." or inside.startswith("../"):
        return text
    return scheme + (HOME if inside == "." else f"{HOME}/{inside}")
