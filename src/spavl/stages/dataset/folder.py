"""The version's folder that others download: part files, card, manifest; what is unchanged is copied from the former version.

The folder is complete in itself: a copied file is this version's own, also if the former version is pruned.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.artifacts.external_sort import BUCKET_ROWS, in_buckets
from spavl.records import stable_hash
from spavl.sql import literal
from spavl.stage import CopiedFile, StageContext, Tables
from spavl.stages.dataset.part_files import PartFiles
from spavl.stages.dataset.published import published_sql, value_sql
from spavl.stages.dataset.rows import SPLITS
from spavl.stages.dataset.version_parts import VersionPart, kept_parts

if TYPE_CHECKING:
    import pyarrow as pa

    from spavl.artifacts.engine import Relation

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
    buckets = in_buckets(rows, _bucket_of(tables, total), ("image_id", "question_id", "id"), ctx.scratch)
    for split, of_split in itertools.groupby(buckets, key=lambda bucket: bucket["split"][0].as_py()):
        for number in files.write(split, (batch for bucket in of_split for batch in bucket.to_batches())):
            done += number
            ctx.progress(done, total)
    return files


def _bucket_of(tables: Tables, num_rows: int) -> Callable[[pa.RecordBatch], pa.Array]:
    """Which bucket a row is put in order in: by its split, then by its image, so that each has some BUCKET_ROWS rows.

    A window function and a join, as in `Engine.in_sorted_order`, would hold a million rows' keys in memory.
    """
    import pyarrow as pa

    images = tables.sql("SELECT id FROM images ORDER BY id").to_arrow_table()["id"]
    num_buckets = -(-num_rows // BUCKET_ROWS)
    edges = [images[len(images) * number // num_buckets].as_py() for number in range(1, num_buckets)]
    first = {split: number * (len(edges) + 1) for number, split in enumerate(SPLITS)}

    def bucket_of(batch: pa.RecordBatch) -> pa.Array:
        rows = zip(batch["split"].to_pylist(), batch["image_id"].to_pylist(), strict=True)
        return pa.array(
            [first[split] + bisect.bisect_right(edges, image) for split, image in rows], pa.int64()
        )

    return bucket_of


def _copied(ctx: StageContext, kept: Sequence[VersionPart]) -> dict[str, CopiedFile]:
    former = ctx.previous("dataset")
    if former is None or not kept:
        return {}
    path = former.folders[FOLDER]["path"]
    return {part.id: CopiedFile(f"{path}/{part.id}", part.sha256, part.num_bytes) for part in kept}
