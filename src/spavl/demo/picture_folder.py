"""Draws the demo's image source: a folder of PNG files and the CSV that describes them, one more batch every night.

A picture is decided by its concept, its night and its place in that night, so a file that exists never changes and a
second call adds nothing. The CSV is replaced last and whole: what it lists exists.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spavl.demo.concepts import Concept, all_concepts
from spavl.demo.drawing import png

TABLE = "images.csv"
COLUMNS = ("file", "label", "caption", "licence")
LICENCE = "CC0-1.0"
_SEEDS_PER_NIGHT = 10_000
_NIGHT = re.compile(r"night(\d+)-")


@dataclass(frozen=True, slots=True)
class Batch:
    """How many pictures a night adds."""

    num_per_leaf: int
    num_per_benign_concept: int

    def num_pictures_of(self, concept: Concept) -> int:
        return self.num_per_benign_concept if concept.is_benign else self.num_per_leaf


def draw_folder(folder: Path, first: Batch, later: Batch, night: int) -> int:
    """Write the pictures of nights 1 to `night` that are missing, then the CSV of all; returns how many were drawn."""
    return draw_nights(folder, {number: first if number == 1 else later for number in range(1, night + 1)})


def draw_nights(folder: Path, batches: Mapping[int, Batch]) -> int:
    """The same for any nights, each with its own batch."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    num_drawn, lines = 0, []
    for night, batch in batches.items():
        for concept, seed in _pictures(batch, night):
            file = f"images/night{night:03d}-{concept.words.replace(' ', '-')}-{seed:07d}.png"
            lines.append((file, concept.label, f"a drawing of a {concept.words}", LICENCE))
            num_drawn += _draw_missing(folder / file, concept, seed)
    _write_whole(folder / TABLE, _csv(lines))
    return num_drawn


def last_night(folder: Path) -> int:
    """The highest night in the folder's CSV; 0 where there is none."""
    table = folder / TABLE
    if not table.is_file():
        return 0
    with open(table, newline="", encoding="utf-8") as stream:
        return max((int(_NIGHT.search(row["file"])[1]) for row in csv.DictReader(stream)), default=0)


def _pictures(batch: Batch, night: int) -> Iterator[tuple[Concept, int]]:
    for concept in all_concepts():
        for number in range(batch.num_pictures_of(concept)):
            yield concept, night * _SEEDS_PER_NIGHT + number


def _draw_missing(path: Path, concept: Concept, seed: int) -> int:
    if path.exists():
        return 0
    _write_whole(path, png(concept, seed))
    return 1


def _csv(lines: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(lines)
    return text.getvalue().encode()


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
