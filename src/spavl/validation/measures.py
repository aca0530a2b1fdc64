"""Numbers that a stage computes over its whole table and that its suite may limit as columns.

A stage gives them in `Sealed.measures` and declares them in its `measures.py`, so that a misspelt column in a suite is refused
before the run. A measure is the same in every row, and missing if the stage could not compute it (on a first night there is no
former version).
"""

from __future__ import annotations

from collections.abc import Mapping

from spavl.stages import measures_of


def measure_columns(stage: str, given: Mapping[str, float | None]) -> dict[str, float]:
    """Every declared measure with its value, NaN if it was not given; raises KeyError for one that is not declared."""
    declared = measures_of(stage)
    if unknown := sorted(given.keys() - declared.keys()):
        raise KeyError(f"`{stage}` declares no measure {', '.join(unknown)}")
    return {name: _number(given.get(name)) for name in declared}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
