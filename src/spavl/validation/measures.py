"""Numbers that a stage computes over its whole table and that its suite may limit as columns.

A stage gives them in `Sealed.measures`; here they are declared, so that a misspelt column in a suite is refused before the run.
A measure is the same in every row, and missing if the stage could not compute it (on a first night there is no former version).
"""

from __future__ import annotations

from collections.abc import Mapping

from spavl import records

MEASURES: dict[type, dict[str, str]] = {
    records.Image: {},
    records.Question: {},
    records.Response: {},
    records.Judgement: {},
    records.Comparison: {},
    records.Preference: {},
    records.DatasetRow: {},
    records.TrainingMetric: {},
    records.Score: {},
    records.ReleaseFile: {},
}


def measures_of(row_type: type) -> Mapping[str, str]:
    """Name -> description of what a suite on this row type may name; empty for side tables."""
    return MEASURES.get(row_type, {})


def measure_columns(row_type: type, given: Mapping[str, float | None]) -> dict[str, float]:
    """Every declared measure with its value, NaN if it was not given; raises KeyError for one that is not declared."""
    declared = measures_of(row_type)
    if unknown := sorted(given.keys() - declared.keys()):
        raise KeyError(f"{row_type.__name__} declares no measure {', '.join(unknown)}")
    return {name: _number(given.get(name)) for name in declared}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
