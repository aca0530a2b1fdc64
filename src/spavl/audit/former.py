"""Columns of a table of the former version, read without its row type: an older table with other columns is readable too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spavl.artifacts.record import Record
    from spavl.artifacts.store import Store


def former_columns(store: Store, record: Record | None, names: Sequence[str]) -> dict[str, list[Any]] | None:
    """Column -> values of those of `names` that the recorded table has; None without a record."""
    from spavl.artifacts.record import read_columns

    return None if record is None else read_columns(store, record, names).to_pydict()
