"""A preference pair as training sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spavl.stages.dataset.rows import DatasetRow


@dataclass(frozen=True, slots=True)
class Pair:
    """One image, one question, a better and a worse answer."""

    id: str
    image: Path  # encoded file
    question: str
    chosen: str
    rejected: str
    image_id: str = ""  # sha256 of its bytes; pairs of one image share it
    margin: float = 1.0  # of the judge, 0 to 1
    class1: str = ""
    chosen_is_unsafe: bool | None = None  # the judge's labels, where the dataset version has them
    rejected_is_unsafe: bool | None = None


def pairs_of(rows: Iterable[DatasetRow], split: str, images: Mapping[str, Path]) -> list[Pair]:
    """The pairs of one split, in the order of their ids, so that the order of the table plays no part."""
    chosen_rows = [
        row for row in rows if row.split == split and row.chosen is not None and row.rejected is not None
    ]
    return [
        Pair(
            row.id,
            images[row.image_id],
            row.question,
            row.chosen,
            row.rejected,
            image_id=row.image_id,
            margin=row.margin,
            class1=row.class1,
            chosen_is_unsafe=row.chosen_is_unsafe,
            rejected_is_unsafe=row.rejected_is_unsafe,
        )
        for row in sorted(chosen_rows, key=lambda row: row.id)
    ]
