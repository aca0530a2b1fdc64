"""Counts that the engine makes of a view's columns, and measures that need no more than counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spavl.audit.coverage import MIN_ROWS

if TYPE_CHECKING:
    from spavl.stage import Tables


def former_view(tables: Tables, stage: str) -> str | None:
    """The name of the view of the stage's former table; None on a first night."""
    return None if tables.former(stage) is None else f"former_{stage}"


def tally(tables: Tables, rows: str, column: str, condition: str = "TRUE") -> Counter[Any]:
    """Value -> number of rows; `rows` stands after FROM, `column` is an SQL expression."""
    query = f"SELECT {column}, count(*) FROM {rows} WHERE {condition} GROUP BY 1 ORDER BY 1"
    return Counter(dict(tables.sql(query).fetchall()))


def tally_by(tables: Tables, rows: str, by: str, column: str) -> dict[str, Counter[Any]]:
    """Value of the expression `by` -> tally of `column`."""
    found: dict[str, Counter[Any]] = {}
    query = f"SELECT {by}, {column}, count(*) FROM {rows} GROUP BY 1, 2 ORDER BY 1, 2"
    for key, value, number in tables.sql(query).fetchall():
        found.setdefault(key, Counter())[value] = number
    return found


def worst_share(tables: Tables, rows: str, flag: str, *slices: Sequence[str]) -> float | None:
    """The largest share of rows with the flag over all values of all slices of at least MIN_ROWS; None without any.

    `flag` is a condition; a slice is the columns whose values together name it.
    """
    sets = ", ".join(f"({', '.join(columns)})" for columns in slices)
    found = tables.sql(
        f"""SELECT count(*) FILTER ({flag}), count(*) FROM {rows}
        GROUP BY GROUPING SETS ({sets}) HAVING count(*) >= {MIN_ROWS}"""
    ).fetchall()
    return max((flagged / number for flagged, number in found), default=None)
