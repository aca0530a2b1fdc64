"""Seals a stage on rows that a test has made or kept, as `spavl.stage.Answered`."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tests.stage_context import FakeAnswered, FakeContext, table_type

from spavl.stage import Sealed


def seal_rows(module: ModuleType, context: FakeContext, rows: Sequence[Any]) -> Sealed:
    """What the stage's `seal` makes of these rows."""
    row_type = getattr(module, "PART", None) or table_type(module)
    return module.seal(context, FakeAnswered(context.tables, {"table": rows}, row_type))
