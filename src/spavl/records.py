"""What the rows of every stage have in common: ids, outcomes, and the Arrow schema of a row type.

A row type is a frozen dataclass in the `rows.py` of its stage.

A row's `id` is a hash of what the row answers, so the same question to the same model gives the same id on every night
and on every machine. Rows that failed stay in their table with an `outcome` other than "ok" (a suite limits how many):
they are never replaced by a default. This module knows nothing of files, models or stages.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

BENIGN = "benign"  # class1 = class2 = class3 of an image that shows nothing harmful

OUTCOMES = (
    "ok",
    "unparsable",
    "error",
)  # unparsable: a reply came but not in the form asked for; error: no reply came

Row = TypeVar("Row")


def stable_hash(*parts: Any) -> str:
    """32 hex digits over the parts' canonical JSON: the same on every machine, process and night."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


@functools.cache
def arrow_schema(row_type: type) -> pa.Schema:
    """The Arrow schema of a row type: field order, types and nullability follow its annotations."""
    import pyarrow as pa

    scalars = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}

    def arrow_field(name: str, annotation: Any) -> pa.Field:
        nullable = isinstance(annotation, types.UnionType)
        if nullable:
            (annotation,) = (arg for arg in typing.get_args(annotation) if arg is not type(None))
        if typing.get_origin(annotation) is tuple:
            return pa.field(name, pa.list_(scalars[typing.get_args(annotation)[0]]), nullable=nullable)
        return pa.field(name, scalars[annotation], nullable=nullable)

    hints = typing.get_type_hints(row_type)
    return pa.schema([arrow_field(field.name, hints[field.name]) for field in dataclasses.fields(row_type)])


def to_table(rows: typing.Sequence[Row], row_type: type[Row]) -> pa.Table:
    """Rows as an Arrow table with exactly `arrow_schema(row_type)`."""
    import pyarrow as pa

    schema = arrow_schema(row_type)
    # column by column: dataclasses.asdict copies deeply and took half of a stage's time at 100,000 rows
    return pa.Table.from_pydict(
        {name: [getattr(row, name) for row in rows] for name in schema.names}, schema=schema
    )


def from_table(table: pa.Table, row_type: type[Row]) -> list[Row]:
    """The rows of a table; raises ValueError where its schema is not the row type's."""
    expected = arrow_schema(row_type)
    if not table.schema.equals(expected):
        raise ValueError(
            f"a table of {row_type.__name__} has the columns {table.schema.names}, not {expected.names}"
        )
    columns = [table.column(name).to_pylist() for name in expected.names]
    for number, field in enumerate(expected):
        if str(field.type).startswith("list"):
            columns[number] = [tuple(value) for value in columns[number]]
    return [row_type(*values) for values in zip(*columns, strict=True)]
