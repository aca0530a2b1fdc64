"""Which candidates become images and which are set aside, as SQL: the first of identical bytes by (source, key) is kept.

Bytes are identical if the image ids are. The engine reads the candidates' JSON; no row becomes an object here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.audit.tallies import tally
from spavl.records import arrow_schema
from spavl.sql import literal
from spavl.stages.images.rows import Image

if TYPE_CHECKING:
    from spavl.artifacts.engine import Relation
    from spavl.stage import Tables

_ORDER = "source, source_key, id"
_PLACE = ", ".join(f"{name} := {name}" for name in _ORDER.split(", "))


@dataclass(frozen=True, slots=True)
class SortedOut:
    """The three tables."""

    images: Relation  # of Image, by source and key
    quarantine: Relation  # of Quarantined, by source and key
    thumbnails: Relation  # of Thumbnail, in the order of the candidates


def sort_out(tables: Tables, candidates: Relation, scratch: Path) -> SortedOut:
    """Sort out ImageCandidate rows; makes the views `images` and `quarantine`. What is read more than once goes to `scratch`."""
    tables.view("candidates", candidates)
    tables.view("first_of", _stored(tables, _FIRST, scratch / "first_of.parquet"))
    images = tables.view("images", _stored(tables, _images(), scratch / "images.parquet"))
    quarantine = tables.view("quarantine", _stored(tables, _QUARANTINE, scratch / "quarantine.parquet"))
    return SortedOut(images, quarantine, tables.sql(_THUMBNAILS))


def counts_of(tables: Tables, num_candidates: int) -> dict[str, int]:
    """Of the views that `sort_out` made: totals, the quarantine's reasons, the images' domains."""
    reasons, domains = tally(tables, "quarantine", "reason"), tally(tables, "images", "class1")
    return {
        "candidates": num_candidates,
        "images": domains.total(),
        "quarantined": reasons.total(),
        **{f"quarantined.{reason}": number for reason, number in reasons.items()},
        **{f"class1.{domain}": number for domain, number in domains.items()},
    }


def _stored(tables: Tables, query: str, path: Path) -> Relation:
    """The rows of a query as a local file, in its order."""
    tables.sql(query).write_parquet(str(path))
    return tables.sql(f"FROM read_parquet({literal(str(path))})")


# Per image id the place of the candidate that is kept, and of the first that has thumbnails
_FIRST = f"""
    SELECT image_id, min(place) AS kept, min(place) FILTER (has_thumbnails) AS with_thumbnails
    FROM (
        SELECT image ->> '$.id' AS image_id, struct_pack({_PLACE}) AS place, thumbnails IS NOT NULL AS has_thumbnails
        FROM candidates WHERE image IS NOT NULL
    ) GROUP BY image_id"""

_QUARANTINE = f"""
    SELECT id, source, source_key, reason, detail FROM candidates WHERE image IS NULL
    UNION ALL
    SELECT id, source, source_key, 'duplicate', 'the same bytes as ' || kept.source || ': ' || kept.source_key
    FROM candidates JOIN first_of ON image_id = image ->> '$.id'
    WHERE image IS NOT NULL AND id <> kept.id
    ORDER BY {_ORDER}"""

# In the order of the candidates: to sort them the engine would have to hold all of them
_THUMBNAILS = """
    SELECT image ->> '$.id' AS id, thumbnails FROM candidates
    WHERE thumbnails IS NOT NULL AND id NOT IN (
        SELECT id FROM candidates JOIN first_of ON image_id = image ->> '$.id'
        WHERE thumbnails IS NOT NULL AND id <> with_thumbnails.id
    )"""


def _images() -> str:
    types = {
        field.name: "BIGINT" if str(field.type) == "int64" else "VARCHAR" for field in arrow_schema(Image)
    }
    return f"""
        SELECT unnest(image) FROM (
            SELECT from_json_strict(image, {literal(json.dumps(types))}) AS image, {_ORDER}
            FROM candidates WHERE id IN (SELECT kept.id FROM first_of)
        ) ORDER BY {_ORDER}"""
