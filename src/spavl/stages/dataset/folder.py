"""The version's folder that others download: part files, card, manifest; what is unchanged is copied from the former version.

The folder is complete in itself: a copied file is this version's own, also if the former version is pruned.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import operator
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.artifacts.external_sort import in_order
from spavl.records import stable_hash
from spavl.sql import literal
from spavl.stage import CopiedFile, StageContext, Tables
from spavl.stages.dataset.making_rows import SPLIT_NUMBER
from spavl.stages.dataset.part_files import PartFiles
from spavl.stages.dataset.published import published_sql, value_sql
from spavl.stages.dataset.rows import SPLITS, VersionPart
from spavl.stages.dataset.version_parts import kept_parts

if TYPE_CHECKING:
    import pyarrow as pa

    from spavl.artifacts.engine import Relation

NUM_PLACES = 4096  # that the rows to write are put in order by, before those of one place are
FOLDER = "version"
PART_TABLE, ROW_TABLE = "version_parts", "version_rows"


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The data files of a version."""

    version: str
    parts: list[VersionPart]  # all, sorted by path
    kept: dict[str, CopiedFile]  # those of the former version
    written: dict[str, str]  # path -> sha256 of the others
    rows: Relation  # of VersionRow


def write_data_files(ctx: StageContext, folder: Path) -> DataFiles:
    """Write the parts that are new into `folder`, emptied first; reads the views `dataset_rows` and `images`."""
    shutil.rmtree(folder, ignore_errors=True)
    ctx.tables.view("published", published_sql())
    kept = _kept_parts(ctx)
    written = _write_new_rows(ctx, folder)
    ctx.tables.view("written_rows", written.places())
    if not kept:  # all rows were written
        ctx.tables.view("row_values", "SELECT id, CAST(split AS VARCHAR) AS split, value FROM written_rows")
    return DataFiles(
        version_id(ctx.tables),
        sorted([*kept, *written.parts], key=lambda part: part.id),
        _copied(ctx, kept),
        {part.id: part.sha256 for part in written.parts},
        ctx.tables.sql(
            "SELECT id, CAST(part AS VARCHAR) AS part FROM written_rows UNION ALL SELECT id, part FROM kept_rows"
        ),
    )


def version_id(tables: Tables) -> str:
    """32 hex digits over the rows of each split: the same data is the same version, whatever files it lies in."""
    digests = {}
    for split in SPLITS:
        digest = hashlib.sha256()
        query = f"SELECT value FROM row_values WHERE split = {literal(split)} ORDER BY value"
        for batch in tables.batches(tables.sql(query)):
            digest.update("".join(batch.column(0).to_pylist()).encode())
        digests[split] = digest.hexdigest()
    return stable_hash("dataset version", digests)


def write_manifest(
    folder: Path, version: str, num_rows: Mapping[str, int], parts: Sequence[VersionPart]
) -> None:
    """manifest.json: the version, rows per split, and the sha256 of every other file."""
    files = {part.id: {"sha256": part.sha256, "num_bytes": part.num_bytes} for part in parts}
    card = (folder / "README.md").read_bytes()
    files["README.md"] = {"sha256": hashlib.sha256(card).hexdigest(), "num_bytes": len(card)}
    manifest = {"version": version, "num_rows": dict(num_rows), "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")


def _kept_parts(ctx: StageContext) -> list[VersionPart]:
    """Former parts that stay; makes the view `kept_rows` of VersionRow and, if there is a former version, `row_values`."""
    parts = ctx.tables.former("dataset", PART_TABLE, view="former_parts")
    rows = ctx.tables.former("dataset", ROW_TABLE, view="former_version_rows")
    if parts is None or rows is None:
        ctx.tables.view("kept_rows", "SELECT '' AS id, '' AS part WHERE FALSE")
        return []
    values = ctx.tables.sql(f"SELECT id, split, {value_sql()} AS value FROM published").to_arrow_table()
    ctx.tables.view("row_values", values)
    tonight = ctx.tables.sql(
        """SELECT former.part, sha256(string_agg(value, '' ORDER BY value))
        FROM former_version_rows former JOIN row_values ON row_values.id = former.id GROUP BY 1"""
    ).fetchall()
    kept = kept_parts(list(ctx.tables.rows(parts, VersionPart)), dict(tonight))
    names = ", ".join(literal(part.id) for part in kept) or "''"
    ctx.tables.view("kept_rows", f"SELECT id, part FROM former_version_rows WHERE part IN ({names})")
    return kept


def _write_new_rows(ctx: StageContext, folder: Path) -> PartFiles:
    tables = ctx.tables
    files = PartFiles(folder, ctx.store.get_blobs, ctx.scratch / "unfinished.parquet")
    is_new = "id NOT IN (SELECT id FROM kept_rows)"
    total, done = tables.value(f"SELECT count(*) FROM dataset_rows WHERE {is_new}"), 0
    rows = tables.batches(tables.sql(f"SELECT *, {value_sql()} AS value FROM published WHERE {is_new}"))
    edges = _edges(tables, is_new)
    placed = (batch.append_column("place", _places(batch, edges)) for batch in rows)
    ordered = in_order(placed, "place", ctx.scratch, len(edges) + 1, ("image_id", "question_id", "id"))
    for split, pieces in itertools.groupby(_pieces_of_splits(ordered), key=operator.itemgetter(0)):
        for number in files.write(split, (batch for _, piece in pieces for batch in piece.to_batches())):
            done += number
            ctx.progress(done, total)
    return files


def _edges(tables: Tables, is_new: str) -> list[tuple[int, str]]:
    """(number of the split, image id) at which a place begins, sorted: some NUM_PLACES of as many images, and none in two splits.

    They take the place of the exact order of all rows, whose keys a window function and a join would hold in memory.
    """
    images = tables.sql(
        f"SELECT DISTINCT {SPLIT_NUMBER} - 1 AS split, image_id FROM dataset_rows WHERE {is_new} ORDER BY ALL"
    ).to_arrow_table()
    rows = range(0, images.num_rows, max(1, images.num_rows // NUM_PLACES))
    chosen = images.take(list(rows)).to_pylist() if rows else []
    edges = {(entry["split"], entry["image_id"]) for entry in chosen}
    return sorted(edges | {(number, "") for number in range(len(SPLITS))})


def _places(batch: pa.RecordBatch, edges: Sequence[tuple[int, str]]) -> pa.Array:
    import pyarrow as pa

    number = {split: place for place, split in enumerate(SPLITS)}
    images = zip(batch["split"].to_pylist(), batch["image_id"].to_pylist(), strict=True)
    return pa.array([bisect.bisect(edges, (number[split], image)) for split, image in images], pa.int64())


def _pieces_of_splits(tables: Iterable[pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    """Each table cut where its column `split` changes."""
    import pyarrow.compute as pc

    for table in tables:
        start = 0
        for entry in pc.value_counts(table["split"]).to_pylist():  # in the order of their first rows
            yield entry["values"], table.slice(start, entry["counts"])
            start += entry["counts"]


def _copied(ctx: StageContext, kept: Sequence[VersionPart]) -> dict[str, CopiedFile]:
    former = ctx.previous("dataset")
    if former is None or not kept:
        return {}
    path = former.folders[FOLDER]["path"]
    return {part.id: CopiedFile(f"{path}/{part.id}", part.sha256, part.num_bytes) for part in kept}
