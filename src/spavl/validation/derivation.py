"""Where a stage's derived columns are found: in its own module `derived`, so that a new stage brings its own.

    COLUMNS                 column -> what it says, in words
    sql(counts)             column -> SQL expression over the view `rows`: the stage's table, and `row`, a row's place from 0
    derive(raw, counts)     column -> number or series, of a frame of the table; in place of `sql`, for small tables

All are numbers; a flag is 1 or 0. A value is missing if the question makes no sense (does a failed asking have a winner?), so
that a mean is over the rows that it makes sense for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from spavl.stages import optional_module

if TYPE_CHECKING:
    import pandas as pd


class Derivation(NamedTuple):
    """A stage's derived columns in words, and how they are made: one of `sql` and `derive`."""

    columns: Mapping[str, str] = {}
    sql: Callable[[Mapping[str, int]], Mapping[str, str]] | None = None
    derive: Callable[[pd.DataFrame, Mapping[str, int]], Mapping[str, Any]] | None = None


def derivation_of(stage: str) -> Derivation:
    """That of a stage; an empty one if it has no module `derived`, or there is no such stage."""
    module = optional_module(stage, "derived")
    if module is None:
        return Derivation()
    return Derivation(module.COLUMNS, getattr(module, "sql", None), getattr(module, "derive", None))
