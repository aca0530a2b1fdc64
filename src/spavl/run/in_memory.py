"""Tables and answers that are row objects in this process: for a drill, which seals stages on rows that it has changed, and for tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spavl.artifacts.engine import Engine
from spavl.artifacts.parts import table_of
from spavl.artifacts.record import Record
from spavl.records import to_table
from spavl.stage import Derived, Sealed
from spavl.stages import row_type_of

if TYPE_CHECKING:
    from spavl.artifacts.engine import Relation


class RowTables:
    """`spavl.stage.Tables` over rows that `rows_of` gives; side tables and former ones come from records."""

    def __init__(
        self,
        engine: Engine,
        rows_of: Callable[[str], Sequence[Any]],
        record_of: Callable[[str], Record],
        former_of: Callable[[str], Record | None],
    ) -> None:
        self.engine = engine
        self._rows_of, self._record_of, self._former_of = rows_of, record_of, former_of

    def open(self, stage: str, name: str = "table", *, view: str | None = None) -> Relation:
        if name == "table":
            rows = to_table(self._rows_of(stage), row_type_of(stage))
            return self.engine.view(view or stage, rows)
        recorded = table_of(self._record_of(stage), name)
        return self.engine.view(view or stage, self.engine.relation_of(recorded))

    def former(self, stage: str, name: str = "table", *, view: str | None = None) -> Relation | None:
        record = self._former_of(stage)
        if record is None or name not in record.tables:
            return None
        relation = self.engine.relation_of(table_of(record, name))
        return self.engine.view(view or f"former_{stage}", relation)

    def __getattr__(self, name: str) -> Any:
        """view, sql, value, rows and batches are the engine's own."""
        return getattr(self.engine, name)


class RowAnswered:
    """`spavl.stage.Answered` over row objects, by the table that they go to."""

    def __init__(self, engine: Engine, row_type: type, rows: Mapping[str, Sequence[Any]]) -> None:
        self._engine, self._type, self._rows = engine, row_type, rows

    def num_rows(self, table: str = "table") -> int:
        return len(self._rows.get(table, ()))

    def rows(self, table: str = "table") -> list[Any]:
        return list(self._rows.get(table, ()))

    def relation(self, table: str = "table") -> Relation:
        return self._engine.view(f"answered_{table}", to_table(self.rows(table), self._type))


def rows_of(engine: Engine, stage: str, sealed: Sealed, answered: RowAnswered) -> Sealed:
    """The same with row objects, however the stage made its tables."""
    rows = sealed.rows
    if rows is None:
        rows = answered.rows()
    elif hasattr(rows, "create_view"):
        rows = rows.order(sealed.order) if sealed.order else rows
        rows = list(engine.rows(rows, row_type_of(stage)))
    sides = {
        name: list(engine.rows(side.relation, side.row_type)) if isinstance(side, Derived) else side
        for name, side in sealed.side_tables.items()
    }
    return dataclasses.replace(sealed, rows=rows, side_tables=sides)
