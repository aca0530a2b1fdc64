"""The columns that expectations may speak about, each as an SQL expression over the table.

They are the row type's own columns, the derived ones, the stage's measures, and for every column with content (prompts,
responses, replies) its length instead. Great Expectations is given nothing else, so it cannot leak what it never sees.
"""

from __future__ import annotations

from spavl.records import OUTCOMES, arrow_schema
from spavl.stages import measures_of
from spavl.validation.derivation import derivation_of
from spavl.validation.lengths import num_chars

# Columns whose cells are written by people or models; `<column>_chars` is the stripped length, missing where null.
CONTENT_COLUMNS = frozenset(
    {
        "caption",
        "provided_question",
        "text",
        "question",
        "chosen",
        "rejected",
        "reason",
        "raw_reply",
        "error",
        "detail",
    }
)


def known_columns(row_type: type, stage: str) -> dict[str, str]:
    """Column -> "text" or "number", for everything an expectation on this stage's table of `row_type` may name."""
    columns = {}
    for field in arrow_schema(row_type):
        if field.name in CONTENT_COLUMNS:
            columns[f"{field.name}_chars"] = "number"
        elif not str(field.type).startswith("list"):
            columns[field.name] = "text" if str(field.type) == "string" else "number"
    made = [*_outcome_flags(row_type), *derivation_of(stage).columns, *measures_of(stage)]
    return columns | dict.fromkeys(made, "number")


def own_columns_sql(row_type: type) -> dict[str, str]:
    """Column -> expression, for the row type's own columns, lengths and outcome flags; whole numbers stay whole."""
    columns = {}
    for field in arrow_schema(row_type):
        if field.name in CONTENT_COLUMNS:
            columns[f"{field.name}_chars"] = as_number(num_chars(f'"{field.name}"'))
        elif not str(field.type).startswith("list"):
            column = f'"{field.name}"'
            columns[field.name] = as_number(column) if str(field.type) == "bool" else column
    return columns | {name: as_number(flag) for name, flag in _outcome_flags(row_type).items()}


def as_number(expression: str) -> str:
    """The expression as a float: 1.0 and 0.0 of a flag."""
    return f"CAST({expression} AS DOUBLE)"


def _outcome_flags(row_type: type) -> dict[str, str]:
    if "outcome" not in row_type.__dataclass_fields__:  # type: ignore[attr-defined]
        return {}
    return {f"is_{outcome}": f"coalesce(outcome = '{outcome}', false)" for outcome in OUTCOMES}
