"""Columns derived for the suite of `captions` (`spavl.validation.derivation`)."""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS = {"is_blank": "1 if the model said nothing"}


def sql(counts: Mapping[str, int]) -> dict[str, str]:
    """Column -> SQL expression over the view `rows`."""
    return {"is_blank": "trim(text) = ''"}
