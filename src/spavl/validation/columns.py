"""The columns that expectations may speak about, and the frame that holds them.

A frame has the row type's own columns, the derived ones, and for every column with content (prompts, responses, replies)
its length instead. Great Expectations is given nothing else, so it cannot leak what it never sees. Flags are numbers: 1.0,
0.0, and missing. Its index is the row id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spavl.records import arrow_schema
from spavl.validation.derived import derivations_of
from spavl.validation.measures import measure_columns, measures_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Columns whose cells are written by people or models; a frame has `<column>_chars`, the stripped length, missing where null.
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


def known_columns(row_type: type) -> dict[str, str]:
    """Column -> "text" or "number", for everything an expectation on this row type may name."""
    columns = {}
    for field in arrow_schema(row_type):
        if field.name in CONTENT_COLUMNS:
            columns[f"{field.name}_chars"] = "number"
        elif not str(field.type).startswith("list"):
            columns[field.name] = "text" if str(field.type) == "string" else "number"
    for derivation in derivations_of(row_type):
        columns |= dict.fromkeys(derivation.columns, "number")
    return columns | dict.fromkeys(measures_of(row_type), "number")


def frame_of(
    table: pa.Table,
    row_type: type,
    counts: Mapping[str, int],
    measures: Mapping[str, float | None] | None = None,
) -> pd.DataFrame:
    """A non-empty table of `row_type` as the frame that a suite is checked on.

    Raises ValueError if the schema is another one, KeyError if a derived column needs a count that is not given or a
    measure is not declared.
    """
    import pandas as pd

    if not table.schema.equals(arrow_schema(row_type)):
        raise ValueError(f"the table's columns {table.schema.names} are not those of {row_type.__name__}")
    raw = table.to_pandas()
    for field in table.schema:
        if str(field.type) == "bool":
            raw[field.name] = raw[field.name].astype("float64")
    columns: dict[str, Any] = {}
    for field in table.schema:
        if field.name in CONTENT_COLUMNS:
            columns[f"{field.name}_chars"] = raw[field.name].str.strip().str.len().astype("float64")
    for derivation in derivations_of(row_type):
        derived = derivation.derive(raw, counts)
        assert set(derived) == set(derivation.columns), sorted(set(derived) ^ set(derivation.columns))
        columns |= derived
    columns |= measure_columns(row_type, measures or {})
    kept = [name for name in known_columns(row_type) if name in raw]
    made = pd.DataFrame(
        columns, index=raw.index
    )  # at once: a thousand columns put in one by one take seconds
    return pd.concat([raw[kept], made], axis="columns").set_axis(raw["id"].rename("row"), axis="index")
