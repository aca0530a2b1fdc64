"""The folder that others download: SPA-VL's published layout in Parquet, with our columns after SPA-VL's.

`image` is the Hugging Face Image feature (bytes and path), declared in the Parquet schema, so that
`datasets.load_dataset("parquet", data_files=...)` and the card's configs give PIL images of the very bytes
ingested. Rows are written in row groups of ROWS_PER_GROUP (the size Hugging Face takes for images), so that
never more images than that are in memory.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.records import SPLITS, DatasetRow, Image, stable_hash

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 100
FILES = {
    "train": "data/train-00000-of-00001.parquet",
    "validation": "data/validation-00000-of-00001.parquet",
    "test_harm": "test/harm-00000-of-00001.parquet",
    "test_help": "test/help-00000-of-00001.parquet",
}
QUESTION_TYPES = {  # SPA-VL's words for our kinds; it has no benign controls
    "easy_question": "easy",
    "hard_question": "hardq",
    "hard_statement": "hards",
    "benign_control": "benign",
}
PAIR_COLUMNS = frozenset(
    (
        "chosen",
        "rejected",
        "margin",
        "agreement",
        "decided_by",
        "chosen_model",
        "rejected_model",
        "chosen_is_unsafe",
        "rejected_is_unsafe",
    )
)
COLUMNS = {  # in published order: SPA-VL's own first
    "question": "string",
    "chosen": "string",
    "rejected": "string",
    "image_name": "string",
    "class1": "string",
    "class2": "string",
    "class3": "string",
    "question_type": "string",
    "is_benign": "bool",
    "margin": "float64",
    "agreement": "float64",
    "decided_by": "string",
    "chosen_model": "string",
    "rejected_model": "string",
    "chosen_is_unsafe": "bool",
    "rejected_is_unsafe": "bool",
    "id": "string",
    "question_id": "string",
    "image_id": "string",
    "duplicate_group": "string",
    "image_source": "string",
    "image_licence": "string",
}


def write_splits(
    folder: Path,
    rows: Sequence[DatasetRow],
    images: Mapping[str, Image],
    image_bytes: Callable[[str], bytes],
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """One Parquet file per split under `folder`; `image_bytes` is asked once for neighbours of one image."""
    latest_bytes = functools.lru_cache(maxsize=1)(image_bytes)
    done = 0
    for split, relative in FILES.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        of_split = [row for row in rows if row.split == split]
        _write_split(target, split, of_split, images, latest_bytes, lambda n, base=done: progress(base + n))
        done += len(of_split)


def schema(split: str) -> pa.Schema:
    """Arrow schema of a split's file, Hugging Face features included; test splits have no pair columns."""
    import pyarrow as pa

    arrow = {"string": pa.string(), "bool": pa.bool_(), "float64": pa.float64()}
    names = _column_names(split)
    fields = [pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    fields += [pa.field(name, arrow[COLUMNS[name]]) for name in names]
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    features |= {name: {"dtype": COLUMNS[name], "_type": "Value"} for name in names}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def checksums(folder: Path) -> dict[str, dict[str, Any]]:
    """{relative path: {sha256, num_bytes}} of every file under `folder`, sorted."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files[path.relative_to(folder).as_posix()] = {"sha256": digest, "num_bytes": path.stat().st_size}
    return files


def version_id(folder: Path) -> str:
    """32 hex digits over the sha256 of the four data files: the same data is the same version."""
    found = checksums(folder)
    return stable_hash(
        "dataset version", {relative: found[relative]["sha256"] for relative in FILES.values()}
    )


def write_manifest(folder: Path, version: str, num_rows: Mapping[str, int]) -> None:
    """manifest.json: the version, rows per split, and the sha256 of every other file."""
    manifest = {"version": version, "num_rows": dict(num_rows), "files": checksums(folder)}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")


def _write_split(
    target: Path,
    split: str,
    rows: Sequence[DatasetRow],
    images: Mapping[str, Image],
    image_bytes: Callable[[str], bytes],
    progress: Callable[[int], None],
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert split in SPLITS
    with pq.ParquetWriter(target, schema(split), compression="zstd") as writer:
        for number, batch in enumerate(_batches(rows)):
            values = [_published(row, split, images[row.image_id], image_bytes) for row in batch]
            writer.write_table(pa.Table.from_pylist(values, schema=schema(split)))
            progress(number * ROWS_PER_GROUP + len(batch))


def _column_names(split: str) -> list[str]:
    return [name for name in COLUMNS if not (split.startswith("test_") and name in PAIR_COLUMNS)]


def _published(
    row: DatasetRow, split: str, image: Image, image_bytes: Callable[[str], bytes]
) -> dict[str, Any]:
    name = f"{image.id}.{image.format.lower()}"
    ours = {
        "image_name": name,
        "question_type": QUESTION_TYPES[row.kind],
        "image_source": image.source,
        "image_licence": image.licence,
    }
    values = {
        column: ours[column] if column in ours else getattr(row, column) for column in _column_names(split)
    }
    return {"image": {"bytes": image_bytes(image.id), "path": name}, **values}


def _batches(rows: Sequence[DatasetRow]) -> Iterator[Sequence[DatasetRow]]:
    return (rows[start : start + ROWS_PER_GROUP] for start in range(0, len(rows), ROWS_PER_GROUP))
