"""A point estimate with its interval."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """A value and the two ends of its confidence interval, all in the value's unit; low <= value <= high."""

    value: float
    low: float
    high: float
