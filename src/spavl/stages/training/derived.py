"""The columns that a suite may use of the metric history."""

from spavl.learning.history_columns import COLUMNS, derive

__all__ = ["COLUMNS", "derive"]
