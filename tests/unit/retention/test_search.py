"""A search for an image finds every row, text and blob that names it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from spavl.artifacts.parts import write_parts
from spavl.artifacts.store import open_store
from spavl.retention.search import Found, read_ids, search

GONE, KEPT = (hashlib.sha256(word).hexdigest() for word in (b"gone", b"kept"))


def test_rows_texts_and_blobs_are_found_and_nothing_else(store_url: str) -> None:
    store = open_store(store_url)
    for word in (b"gone", b"kept"):
        store.put_blob(word)
    rows = {
        "id": ["1", "2", "3"],
        "image": [None, f'{{"id": "{GONE}"}}', "{}"],
        "image_ids": [[KEPT], [GONE, KEPT], []],
    }
    table = pa.table(
        rows,
        schema=pa.schema([("id", pa.string()), ("image", pa.string()), ("image_ids", pa.list_(pa.string()))]),
    )
    (part,) = write_parts(store, "images", table.schema, [table])
    store.write("runs/r/images/record.json", f'{{"details": ["{GONE}", "{KEPT}", "x{GONE}"]}}'.encode())
    store.write("runs/r/report.html", f"<p>{KEPT}</p>".encode())
    store.write("forgotten/000001.json", GONE.encode())
    assert set(search(store, [GONE])) == {
        Found(f"blob {GONE[:12]}", 1, "image"),
        Found(part.path, 1, "table"),
        Found("runs/r/images/record.json", 2, "text"),
    }
    assert list(search(store, ["0" * 64])) == []


def test_a_file_that_cannot_be_read_is_named_as_one_that_nobody_knows(store_url: str) -> None:
    store = open_store(store_url)
    store.write("runs/r/questions/evidence/table.parquet", b"half of a table")
    assert list(search(store, [GONE])) == [Found("runs/r/questions/evidence/table.parquet", 1, "unknown")]


def test_a_search_reads_what_is_in_the_store_now(store_url: str) -> None:
    store, path = open_store(store_url), "runs/r/questions/evidence/table.parquet"
    for id, found in ((KEPT, []), (GONE, [Found(path, 1, "table")])):
        store.write_table(path, pa.table({"image_id": [id]}))
        assert list(search(store, [GONE])) == found


def test_a_list_of_ids_names_the_line_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_text(f"{KEPT}\n\n{GONE}\n{KEPT}\n")
    assert read_ids(file) == sorted([GONE, KEPT])
    file.write_text(f"{KEPT}\nphoto.png\n")
    with pytest.raises(ValueError, match="line 2 is no image id"):
        read_ids(file)
