"""Writes a stage's table as parts: rows that the former version's parts hold with the same values stay in those parts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.artifacts.engine import Engine
from spavl.artifacts.parts import DROPPED, Part, Table, in_batches, table_of, write_parts
from spavl.artifacts.record import Record
from spavl.records import arrow_schema
from spavl.run.reuse import dropped_schema, names_forgotten, view_forgotten
from spavl.run.stage_run import StageRun
from spavl.sql import literal

if TYPE_CHECKING:
    import pyarrow as pa

    from spavl.artifacts.engine import Relation

MIN_KEPT = 0.5  # share of a former part's rows; below it all of tonight's rows of it are written anew
MAX_PARTS = 64  # of former versions; more of them are written anew, in one


def rows_table(run: StageRun, rows: Sequence[Any], row_type: type) -> Table:
    """Row objects as a table."""
    parts = write_parts(run.store, run.stage, arrow_schema(row_type), in_batches(rows, row_type))
    return Table(row_type.__name__, len(rows), parts)


def relation_table(
    run: StageRun,
    engine: Engine,
    relation: Relation,
    row_type: type,
    former: Record | None,
    name: str,
    forgotten: Collection[str] = (),
    order: str = "",
) -> Table:
    """A relation's rows as a table: what the former version's table `name` has is referred to, the rest is written.

    What is written is in the relation's order, or by the SQL expressions of `order`.
    """
    schema = arrow_schema(row_type)
    columns = ", ".join(f'"{column}"' for column in schema.names)
    relation.create_view("to_store", replace=True)
    engine.execute("CREATE OR REPLACE TEMP TABLE kept_ids (id VARCHAR, part VARCHAR)")
    view_forgotten(engine, forgotten)
    kept: list[Part] = []
    if candidates := _candidates(engine, former, name, row_type):
        engine.execute(
            f"CREATE OR REPLACE TEMP TABLE tonight AS SELECT id, hash({columns}) AS value FROM to_store"
        )
        kept = _kept(engine, candidates, columns)
    dropped = write_parts(run.store, DROPPED, dropped_schema(), _dropped(engine, kept))
    written = write_parts(run.store, run.stage, schema, _new(engine, columns, order, is_whole=not kept))
    num_rows = sum(part.num_rows for part in written) + engine.value("SELECT count(*) FROM kept_ids")
    return Table(row_type.__name__, num_rows, (*kept, *written), dropped)


def _new(engine: Engine, columns: str, order: str, *, is_whole: bool) -> Iterator[pa.Table | pa.RecordBatch]:
    """The rows that no kept part has, in order."""
    condition = "" if is_whole else "WHERE id NOT IN (SELECT id FROM kept_ids)"
    query = f"SELECT {columns} FROM to_store {condition}"
    return engine.in_sorted_order(query, order) if order else engine.batches(engine.sql(query))


def _candidates(engine: Engine, former: Record | None, name: str, row_type: type) -> list[Part]:
    if former is None or name not in former.tables:
        return []
    schema = arrow_schema(row_type)
    parts = [part for part in table_of(former, name).parts if part.path.startswith("parts/")]
    parts = [
        part for part in parts if engine.has_columns(part, schema) and not names_forgotten(engine, [part])
    ]
    return parts if len(parts) <= MAX_PARTS else []


def _kept(engine: Engine, candidates: Sequence[Part], columns: str) -> list[Part]:
    """The parts to refer to; makes the table `kept_ids` (id, part)."""
    kept = []
    for part in candidates:
        engine.execute(
            f"""CREATE OR REPLACE TEMP TABLE same AS
            SELECT former.id FROM (SELECT id, hash({columns}) AS value FROM {engine.parts_sql([part])}) former
            JOIN tonight ON tonight.id = former.id AND tonight.value = former.value
            WHERE former.id NOT IN (SELECT id FROM kept_ids)"""
        )
        if engine.value("SELECT count(*) FROM same") >= max(1, MIN_KEPT * part.num_rows):
            engine.execute(f"INSERT INTO kept_ids SELECT id, {literal(part.sha256)} FROM same")
            kept.append(part)
    return kept


def _dropped(engine: Engine, kept: Sequence[Part]) -> Iterator[pa.RecordBatch]:
    for part in kept:
        digest = literal(part.sha256)
        yield from engine.batches(
            engine.sql(
                f"""SELECT {digest} AS part, id FROM {engine.ids_sql(part)} rows
                WHERE NOT EXISTS (FROM kept_ids WHERE part = {digest} AND kept_ids.id = rows.id) ORDER BY id"""
            )
        )


def evidence_file(engine: Engine, relation: Relation, row_type: type, path: Path) -> Path:
    """The rows as one local Parquet file."""
    import pyarrow.parquet as pq

    schema = arrow_schema(row_type)
    columns = ", ".join(f'"{column}"' for column in schema.names)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in engine.batches(relation.select(columns)):
            writer.write_batch(batch.cast(schema))
    return path
