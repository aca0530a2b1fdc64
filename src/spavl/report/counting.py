"""Counts of any table, made by the engine where the table lies: only what a page shows comes to Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spavl.artifacts.engine import Relation

NUM_BINS = 8  # of the margins' histogram


def count_by(relation: Relation, column: str) -> dict[str, int]:
    """Value -> number of rows, largest first."""
    found = rows_of(relation, f'SELECT "{column}" AS value, count(*) AS num FROM recorded GROUP BY ALL')
    return {
        row["value"]: row["num"] for row in sorted(found, key=lambda row: (-row["num"], str(row["value"])))
    }


def mean(relation: Relation, column: str) -> float | None:
    """Mean of a column; its values are few (shares of a handful of askings), so they are summed in order."""
    by_value = count_by(relation, column)
    total = sum(by_value.values())
    return sum(value * by_value[value] for value in sorted(by_value)) / total if total else None


def histogram(relation: Relation, column: str) -> list[int]:
    """How many values lie in each of NUM_BINS even bins from 0 to 1, the last one with 1."""
    found = rows_of(
        relation,
        f"""SELECT CAST(least(floor("{column}" * {NUM_BINS}), {NUM_BINS - 1}) AS INTEGER) AS bin, count(*) AS num
        FROM recorded WHERE "{column}" BETWEEN 0 AND 1 GROUP BY ALL""",
    )
    counts = {row["bin"]: row["num"] for row in found}
    return [counts.get(number, 0) for number in range(NUM_BINS)]


def smallest_ids(relation: Relation, column: str, num: int) -> list[str]:
    """The first ids of each value of the column."""
    found = rows_of(relation, f'SELECT min(id, {num}) AS ids FROM recorded GROUP BY "{column}"')
    return [id for row in found for id in row["ids"]]


def rows_of(relation: Relation, query: str) -> list[dict[str, Any]]:
    """The rows of a SELECT that calls the relation `recorded`."""
    return relation.query("recorded", query).to_arrow_table().to_pylist()


def share(part: int, whole: int) -> float | None:
    """The part of the whole; None if there is no whole."""
    return part / whole if whole else None
