"""The columns that a suite may use of the scores: the release gate's."""

from spavl.validation.gate import COLUMNS
from spavl.validation.gate import gate_columns as derive

__all__ = ["COLUMNS", "derive"]
