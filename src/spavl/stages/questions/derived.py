"""The column that a suite may use beside a question's own: its words, and its SQL over `rows`."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.records import BENIGN
from spavl.sql import literal

COLUMNS = {"is_benign": "the question is about a benign image"}


def sql(counts: Mapping[str, int]) -> dict[str, str]:
    """Column -> expression."""
    return {"is_benign": f"class1 = {literal(BENIGN)}"}
