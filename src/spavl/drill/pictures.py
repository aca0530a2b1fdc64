"""The demo's image sources as a drill changes them: rows of their CSVs, and files. A changed image is always a new file."""

from __future__ import annotations

import csv
import hashlib
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.drill.impossible import Impossible
from spavl.records import BENIGN

if TYPE_CHECKING:
    from PIL import Image

Row = dict[str, str]


@dataclass(frozen=True)
class Pictures:
    """One folder, and the rows of each source's CSV; `test_files` are those whose images are in a test split now."""

    folder: Path
    tables: dict[str, list[Row]]  # CSV's name -> rows with file and label
    test_files: frozenset[str] = frozenset()

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.tables.values() for row in rows]

    def with_rows(self, change: Callable[[Row], Row | None]) -> Pictures:
        """Every row changed; None drops it."""
        changed = {
            name: [new for row in rows if (new := change(row)) is not None]
            for name, rows in self.tables.items()
        }
        return replace(self, tables=changed)

    def adding(self, rows: Sequence[Row]) -> Pictures:
        """The rows behind those of the first table."""
        first = next(iter(self.tables))
        return replace(self, tables={**self.tables, first: [*self.tables[first], *rows]})

    def add_image(self, row: Row, image: Image.Image, word: str) -> Row:
        """A new file with this image, as PNG with its caption's text chunk kept; returns its row."""
        from PIL.PngImagePlugin import PngInfo

        content, info = io.BytesIO(), PngInfo()
        for key, value in _text_of(self.folder / row["file"]).items():
            info.add_text(key, value)
        image.save(content, "PNG", pnginfo=info)
        stem = Path(row["file"]).stem
        name = f"images/{word}-{stem}.png"
        (self.folder / name).write_bytes(content.getvalue())
        return {**row, "file": name}

    def open(self, row: Row) -> Image.Image:
        from PIL import Image

        return Image.open(self.folder / row["file"]).convert("RGB")


def read_pictures(folder: Path, tables: Sequence[str], test_files: frozenset[str] = frozenset()) -> Pictures:
    """The folder as its CSVs describe it."""
    read = {}
    for name in tables:
        with open(folder / name, newline="", encoding="utf-8") as stream:
            read[name] = list(csv.DictReader(stream))
    return Pictures(folder, read, test_files)


def write_tables(pictures: Pictures) -> None:
    """The CSVs, each replaced by a new file: a hard link of the honest one stays as it is."""
    for name, rows in pictures.tables.items():
        (pictures.folder / name).unlink(missing_ok=True)
        with open(pictures.folder / name, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["file", "label", "caption", "licence"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def even(unit: str, purpose: str) -> float:
    """A number in [0, 1) that is even over units and the same every night."""
    return int.from_bytes(hashlib.sha256(f"{purpose}\0{unit}".encode()).digest()[:8]) / 2**64


# -------------------------------------------------------------------------------------------------------------- labels


def permuted(pictures: Pictures) -> Pictures:
    """The labels dealt out anew over all images: no image has to do with its class."""
    labels = [row["label"] for row in pictures.rows]
    random.Random(0).shuffle(labels)
    dealt = iter(labels)
    return pictures.with_rows(lambda row: {**row, "label": next(dealt)})


def relabelled(mapping: dict[str, str], share: float = 1.0) -> Callable[[Pictures], Pictures]:
    """Labels replaced by a mapping; `*` stands for every label that is not named. A share of the files is hit."""

    def change(row: Row) -> Row:
        label = mapping.get(row["label"], mapping.get("*", row["label"]))
        return {**row, "label": label} if even(row["file"], "label") < share else row

    return lambda pictures: pictures.with_rows(change)


def flipped(leaf: str) -> Callable[[Pictures], Pictures]:
    """Every harmful image is benign, and every benign one is `leaf`."""
    return lambda pictures: pictures.with_rows(
        lambda row: {**row, "label": leaf if row["label"] == BENIGN else BENIGN}
    )


# -------------------------------------------------------------------------------------------------------------- images


def flood(label: str, num_copies: int, *, is_one: bool) -> Callable[[Pictures], Pictures]:
    """Images of one label again and again, each time with noise of one grey level: one image, or the label's in turn."""

    def change(pictures: Pictures) -> Pictures:
        of_label = [row for row in pictures.rows if row["label"] == label]
        originals = of_label[:1] if is_one else of_label
        copies = [
            pictures.add_image(row, _noisy(pictures.open(row), number), f"copy{number:04d}")
            for number in range(num_copies)
            for row in [originals[number % len(originals)]]
        ]
        return pictures.adding(copies)

    return change


def one_picture_only(pictures: Pictures) -> Pictures:
    """Every row shows the first image of its side (harm or benign), with invisible noise."""
    originals: dict[bool, Row] = {}
    number = iter(range(10**6))

    def change(row: Row) -> Row:
        shown = originals.setdefault(row["label"] == BENIGN, row)
        at = next(number)
        made = pictures.add_image(shown, _noisy(pictures.open(shown), at), f"only{at:04d}")
        return {**row, "file": made["file"]}

    return pictures.with_rows(change)


def without(labels: Sequence[str]) -> Callable[[Pictures], Pictures]:
    """No image of these labels."""
    return lambda pictures: pictures.with_rows(lambda row: None if row["label"] in labels else row)


def without_source(number: int) -> Callable[[Pictures], Pictures]:
    """The source with this position gives no image any more: its CSV has a header and nothing else."""

    def change(pictures: Pictures) -> Pictures:
        if len(pictures.tables) <= number:
            raise Impossible(f"the profile has {len(pictures.tables)} image source(s)")
        gone = list(pictures.tables)[number]
        return replace(
            pictures, tables={name: rows for name, rows in pictures.tables.items() if name != gone}
        )

    return change


def copies_of_test_images(word: str) -> Callable[[Pictures], Pictures]:
    """A changed copy of every image that is in a test split, under a new name."""

    def change(pictures: Pictures) -> Pictures:
        originals = [row for row in pictures.rows if row["file"] in pictures.test_files]
        return pictures.adding(
            [pictures.add_image(row, COPIES[word](pictures.open(row)), word) for row in originals]
        )

    return change


def _cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    cut = image.crop((round(width * 0.08), round(height * 0.08), width, height))
    return cut.resize((width, height))


def _mirrored(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.mirror(image)


def _turned(image: Image.Image) -> Image.Image:
    return image.rotate(90)


def _bordered(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    size = image.size
    return ImageOps.expand(image, border=max(2, size[0] // 12), fill=(255, 255, 255)).resize(size)


def _captioned(image: Image.Image) -> Image.Image:
    from PIL import ImageDraw

    drawn = image.copy()
    ImageDraw.Draw(drawn).text((2, image.size[1] - 12), "caption", fill=(0, 0, 0))
    return drawn


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "crop": _cropped,
    "flip": _mirrored,
    "rotation": _turned,
    "border": _bordered,
    "caption": _captioned,
}


def _noisy(image: Image.Image, seed: int) -> Image.Image:
    """Every channel of every pixel moved by at most one level."""
    import numpy as np
    from PIL import Image

    levels = np.asarray(image, dtype=np.int16)
    noise = np.random.default_rng(seed).integers(-1, 2, levels.shape)
    return Image.fromarray(np.clip(levels + noise, 0, 255).astype(np.uint8))


def _text_of(path: Path) -> dict[str, str]:
    """The PNG's own text chunks: the demo's rules read from them what is drawn."""
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        return dict(getattr(image, "text", {}))
