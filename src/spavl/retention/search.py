"""Where images still are: every table, published file, record and blob of the store is searched for their ids.

An image's id is 64 hex digits and stands in every row that came from it, so a search for the ids in all texts finds them all.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.artifacts.engine import Engine, small_engine
from spavl.artifacts.store import Store
from spavl.sql import literal

if TYPE_CHECKING:
    import pyarrow as pa

ID = re.compile(r"^[0-9a-f]{64}$")
_ANY_ID = "[0-9a-f]{64}"
_TEXTS = (".json", ".html", ".md", ".csv", ".jsonl")
_NOT_SEARCHED = ("forgotten/",)  # the list itself


@dataclass(frozen=True, slots=True)
class Found:
    """A file that holds some of the images, or something that came from them."""

    path: str
    num: int  # rows of a table, mentions in a text, images in a pack
    kind: str  # table, text, image or unknown


def search(store: Store, image_ids: Collection[str]) -> Iterator[Found]:
    """Every file with any of the images: blobs, then texts, then tables, each by path."""
    wanted = set(image_ids)
    for digest in sorted(wanted & set(store.blob_digests())):
        yield Found(f"blob {digest[:12]}", 1, "image")
    for path in (
        store.blobs.uncommitted()
    ):  # of a writer at work, or left by a killed one: nobody knows what it holds
        yield Found(path, 1, "unknown")
    paths = [path for path in store.walk("") if not path.startswith(_NOT_SEARCHED)]
    yield from _in_texts(store, [path for path in paths if path.endswith(_TEXTS)], wanted)
    yield from _in_tables(store, [path for path in paths if _is_table(path)], wanted)


def _table(wanted: Collection[str]) -> pa.Table:
    import pyarrow as pa

    return pa.table({"id": pa.array(sorted(wanted), pa.string())})


def _is_table(path: str) -> bool:
    return path.endswith(".parquet") and not path.endswith(".ids.parquet")


def _in_texts(store: Store, paths: list[str], wanted: set[str]) -> Iterator[Found]:
    for path, content in zip(paths, store.read_many(paths), strict=True):
        ids = re.findall(_ANY_ID, content.decode("utf-8", "replace"))
        if num := sum(id in wanted for id in ids):
            yield Found(path, num, "text")


def _in_tables(store: Store, paths: list[str], wanted: set[str]) -> Iterator[Found]:
    """Each file is read as it is in the store now: a copy of an earlier day proves nothing."""
    with small_engine(store) as engine, tempfile.TemporaryDirectory(prefix="spavl-search-") as scratch:
        engine.view("wanted", _table(wanted))
        for number, path in enumerate(paths):
            file = store.local_path(path) or store.fetch(path, Path(scratch) / f"{number}.parquet")
            try:
                if num := _num_rows(engine, file):
                    yield Found(path, num, "table")
            except ValueError:
                yield Found(path, 1, "unknown")
            if file.is_relative_to(scratch):
                file.unlink()


def _num_rows(engine: Engine, file: Path) -> int:
    """Rows in which any text names one of the images; raises ValueError if the file is no table."""
    import duckdb

    try:
        rows = f"read_parquet([{literal(str(file))}])"
        return _num_rows_of(engine, rows)
    except duckdb.InvalidInputException as error:
        raise ValueError(f"{file} is no table") from error


def _num_rows_of(engine: Engine, rows: str) -> int:
    columns = engine.sql(f"DESCRIBE FROM {rows}").fetchall()
    texts = [f"coalesce(\"{name}\", '')" for name, kind, *_ in columns if kind == "VARCHAR"]
    texts += [
        f"coalesce(array_to_string(\"{name}\", ' '), '')" for name, kind, *_ in columns if kind == "VARCHAR[]"
    ]
    if not texts:
        return 0
    found = engine.value(
        f"""SELECT count(*) FROM (
            SELECT regexp_extract_all(concat_ws(' ', {", ".join(texts)}), '{_ANY_ID}') AS ids FROM {rows}
        ) WHERE EXISTS (FROM wanted WHERE list_contains(ids, wanted.id))"""
    )
    return int(found)


def read_ids(file: Path) -> list[str]:
    """The ids of a file, one per line; raises ValueError with the number of the first line that is none."""
    lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    for number, line in enumerate(lines, 1):
        if line and not ID.match(line):
            raise ValueError(
                f"line {number} is no image id: an id is 64 hex digits, the sha256 of the image's bytes"
            )
    return sorted({line for line in lines if line})
