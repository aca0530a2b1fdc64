"""What a version's files hold: SPA-VL's published layout in Parquet, with our columns after SPA-VL's.

`image` is the Hugging Face Image feature (bytes and path), declared in the Parquet schema, so that
`datasets.load_dataset("parquet", data_files=...)` and the card's configs give PIL images of the very bytes
ingested.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spavl.sql import literal

if TYPE_CHECKING:
    import pyarrow as pa

PREFIXES = {  # of a split's files; what follows is -<16 hex digits of the sha256>.parquet
    "train": "data/train",
    "validation": "data/validation",
    "test_harm": "test/harm",
    "test_help": "test/help",
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


def schema(split: str) -> pa.Schema:
    """Arrow schema of a split's files, Hugging Face features included; test splits have no pair columns."""
    import pyarrow as pa

    arrow = {"string": pa.string(), "bool": pa.bool_(), "float64": pa.float64()}
    names = column_names(split)
    fields = [pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    fields += [pa.field(name, arrow[COLUMNS[name]]) for name in names]
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    features |= {name: {"dtype": COLUMNS[name], "_type": "Value"} for name in names}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def column_names(split: str) -> list[str]:
    """The columns beside `image`."""
    return [name for name in COLUMNS if not (split.startswith("test_") and name in PAIR_COLUMNS)]


def published_sql() -> str:
    """SELECT of all rows with all columns but the image's bytes, and their `split`."""
    cases = " ".join(f"WHEN {literal(kind)} THEN {literal(word)}" for kind, word in QUESTION_TYPES.items())
    ours = {
        "image_name": "images.id || '.' || lower(images.format)",
        "question_type": f"CASE r.kind {cases} END",
        "image_source": "images.source",
        "image_licence": "images.licence",
    }
    columns = ", ".join(f"{ours.get(name, f'r.{name}')} AS {name}" for name in COLUMNS)
    return f"SELECT r.split, {columns} FROM dataset_rows r JOIN images ON images.id = r.image_id"


def value_sql() -> str:
    """Of a row of `published_sql`: 32 hex digits over each column's text and its length, so that no two rows run together alike.

    The image's bytes are the image id's, so rows of one value are equal in all that is published.
    """
    texts = (f"CAST({name} AS VARCHAR)" for name in ("split", *COLUMNS))
    pieces = (f"coalesce(strlen({text}) || ':' || {text}, '-')" for text in texts)
    return f"substr(sha256(concat({', '.join(pieces)})), 1, 32)"
