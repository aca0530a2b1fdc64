"""The columns that a suite may use beside a response's own: their words, and their SQL over `rows`."""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS = {
    "ok_share_of_model": "share of this model's rows with outcome ok",
    "answered_share_of_model": "rows of this model, as a share of the rows of the model with the most",
}
_OF_MODEL = "(SELECT {} FROM rows others WHERE others.model = rows.model)"
_MOST = "(SELECT max(number) FROM (SELECT count(*) AS number FROM rows GROUP BY model))"


def sql(counts: Mapping[str, int]) -> dict[str, str]:
    """Column -> expression."""
    return {
        "ok_share_of_model": _OF_MODEL.format("count(*) FILTER (others.outcome = 'ok') / count(*)"),
        "answered_share_of_model": f"{_OF_MODEL.format('count(*)')} / {_MOST}",
    }
