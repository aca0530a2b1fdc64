"""Which rows of earlier runs answer tonight's items: found in the indexes of their parts, without reading the parts.

A part of which at least half is wanted is referred to, with the ids that are not wanted; of any other part the wanted
rows are copied. Small parts are put together when there are many of them, so their number stays bounded. Rows that ended
in an error are asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spavl.artifacts.engine import Engine
from spavl.artifacts.parts import DROPPED, PART_ROWS, Part, Table, table_of, write_parts
from spavl.artifacts.record import read_record
from spavl.records import arrow_schema
from spavl.run import work_list
from spavl.run.stage_run import StageRun
from spavl.sql import literal

if TYPE_CHECKING:
    import pyarrow as pa

SMALL_PART_ROWS = PART_ROWS // 8
MAX_SMALL_PARTS = 32
MIN_WANTED = 0.5  # share of a part's rows; below it a copy of them is smaller than the part and its list of dropped rows


@dataclass(frozen=True, slots=True)
class Source:
    """One part that any run may list, or all that the shards of an unsealed run wrote, which goes when that run goes."""

    parts: tuple[Part, ...]
    is_shared: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source of rows, and how many are taken from it."""

    source: Source
    number: int  # of the source in the table `chosen`
    num_rows: int
    may_be_listed: bool = True  # False: the part holds rows of forgotten images

    @property
    def is_whole(self) -> bool:
        return self.num_rows == sum(part.num_rows for part in self.source.parts)


def reused_rows(run: StageRun, engine: Engine, forgotten: Collection[str] = ()) -> dict[str, Table]:
    """The rows of earlier runs for the items of the view `items` (columns id, table), newest run first: table -> rows.

    Makes the table `reused_ids`. Rows of side tables are looked for in the side tables of the same name.
    """
    engine.execute("CREATE OR REPLACE TEMP TABLE reused_ids (id VARCHAR)")
    view_forgotten(engine, forgotten)
    row_type = run.module.PART
    found = {}
    for name in table_names(engine):
        wanted = _choose(
            engine, sources(run, engine, name), f'SELECT id FROM items WHERE "table" = {literal(name)}'
        )
        engine.execute("INSERT INTO reused_ids SELECT id FROM chosen")
        if wanted:
            found[name] = _table(run, engine, wanted, row_type)
    return found


def table_names(engine: Engine) -> list[str]:
    """The tables that tonight's rows go to."""
    return [name for (name,) in engine.sql('SELECT DISTINCT "table" FROM items ORDER BY 1').fetchall()]


def sources(run: StageRun, engine: Engine, table: str) -> list[Source]:
    """Where earlier runs keep such rows, newest run first, each part once."""
    schema, found = arrow_schema(run.module.PART), []
    for run_id in run.plan.reuse_runs:
        for source in _sources_of_run(run, run_id, table):
            if source not in found and engine.has_columns(source.parts[0], schema):
                found.append(source)
    return found


def _sources_of_run(run: StageRun, run_id: str, table: str) -> list[Source]:
    record = read_record(run.store, run_id, run.stage)
    if record is None:
        paths = work_list.part_paths(run.store, run_id, run.stage) if table == "table" else []
        return [Source(tuple(Part(path, "", 0, 0) for path in paths), is_shared=False)] if paths else []
    name = "parts" if table == "table" and "parts" in record.tables else table
    parts = table_of(record, name).parts if name in record.tables else ()
    return [Source((part,), is_shared=part.path.startswith("parts/")) for part in parts]


def _choose(engine: Engine, found: Sequence[Source], ids: str) -> list[Wanted]:
    """Make the table `chosen` (id, number of the source to take it from) and return the sources that have any."""
    engine.execute("CREATE OR REPLACE TEMP TABLE chosen (id VARCHAR, number INTEGER)")
    if found:
        usable = [
            f"SELECT id, {number} AS number FROM {engine.usable_ids_sql(source.parts)}"
            for number, source in enumerate(found)
        ]
        engine.execute(
            f"""INSERT INTO chosen SELECT id, min(number) FROM ({" UNION ALL ".join(usable)})
            WHERE id IN ({ids}) GROUP BY id"""
        )
    named = [number for number, source in enumerate(found) if names_forgotten(engine, source.parts)]
    for number in named:
        rows = engine.rows_of_images_sql(found[number].parts, "forgotten")
        engine.execute(f"DELETE FROM chosen WHERE number = {number} AND id IN ({rows})")
    counts = engine.sql("SELECT number, count(*) FROM chosen GROUP BY number ORDER BY number").fetchall()
    return [Wanted(found[number], number, num_rows, number not in named) for number, num_rows in counts]


def view_forgotten(engine: Engine, image_ids: Collection[str]) -> None:
    """The view `forgotten` (id): images that must not be in what is written tonight, nor in parts that it refers to."""
    import pyarrow as pa

    engine.view("forgotten", pa.table({"id": pa.array(sorted(image_ids), pa.string())}))


def names_forgotten(engine: Engine, parts: Sequence[Part]) -> bool:
    """Whether a row of these parts names one of the images of the view `forgotten`."""
    if not engine.value("SELECT count(*) FROM forgotten"):
        return False
    return bool(engine.sql(f"{engine.rows_of_images_sql(parts, 'forgotten')} LIMIT 1").fetchall())


def _table(run: StageRun, engine: Engine, wanted: Sequence[Wanted], row_type: type) -> Table:
    """The chosen rows as a table: parts referred to, with what is dropped of them, and one more with the rows copied."""
    kept = [each for each in wanted if each.source.is_shared and each.may_be_listed and _is_worth_it(each)]
    small = [each for each in kept if each.num_rows < SMALL_PART_ROWS]
    if len(small) > MAX_SMALL_PARTS:
        kept = [each for each in kept if each not in small]
    copied = [each for each in wanted if each not in kept]
    dropped = write_parts(run.store, DROPPED, dropped_schema(), _dropped(engine, kept))
    copies = write_parts(run.store, run.stage, arrow_schema(row_type), _copies(engine, copied))
    num_rows = sum(each.num_rows for each in wanted)
    parts = (*(each.source.parts[0] for each in kept), *copies)
    return Table(row_type.__name__, num_rows, parts, dropped)


def _is_worth_it(wanted: Wanted) -> bool:
    return wanted.num_rows >= MIN_WANTED * wanted.source.parts[0].num_rows


def dropped_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [pa.field("part", pa.string(), nullable=False), pa.field("id", pa.string(), nullable=False)]
    )


def _dropped(engine: Engine, kept: Sequence[Wanted]) -> Iterator[pa.RecordBatch]:
    for each in kept:
        if not each.is_whole:
            (part,) = each.source.parts
            yield from engine.batches(
                engine.sql(
                    f"""SELECT {literal(part.sha256)} AS part, id FROM {engine.ids_sql(part)} rows
                    WHERE NOT EXISTS (FROM chosen WHERE number = {each.number} AND chosen.id = rows.id) ORDER BY id"""
                )
            )


def _copies(engine: Engine, copied: Sequence[Wanted]) -> Iterator[pa.RecordBatch]:
    for each in copied:
        yield from engine.batches(
            engine.sql(
                f"""SELECT rows.* FROM {engine.parts_sql(each.source.parts)} rows
                JOIN chosen ON chosen.id = rows.id AND chosen.number = {each.number} ORDER BY rows.id"""
            )
        )
