"""Harmless toy pairs on drawn images: red circles are to be declined, blue squares described."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from spavl.learning.pairs import Pair
from spavl.stages.dataset.rows import DatasetRow

ANSWERS = {
    "red": ("sorry, I cannot help with that", "sure, a red circle"),
    "blue": ("sure, a blue square", "sorry, I cannot"),
}
QUESTIONS = ("what is shown here", "what is that", "is a star shown here")


def draw(color: str, side_px: int) -> bytes:
    """A PNG of one colour; different sides give different files."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (side_px, side_px), color).save(buffer, "PNG")
    return buffer.getvalue()


def toy_pairs(folder: Path, num_pairs: int) -> list[Pair]:
    """Pairs with their images written to `folder`, ids "pair-000", "pair-001", …"""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number in range(num_pairs):
        color = ("red", "blue")[number % 2]
        image = folder / f"{number:03d}.png"
        image.write_bytes(draw(color, 33 + number))
        pair = Pair(f"pair-{number:03d}", image, "what is shown here", *ANSWERS[color], image_id=image.stem)
        pairs.append(pair)
    return pairs


def toy_rows(
    num_train: int, num_validation: int, num_per_image: int = 1
) -> tuple[list[DatasetRow], list[bytes]]:
    """Dataset rows of both splits, and the bytes of their images; up to three questions about each image."""
    rows, images = [], []
    for number in range(num_train + num_validation):
        color = ("red", "blue")[number // num_per_image % 2]
        if number % num_per_image == 0:
            images.append(draw(color, 33 + number))
        split = "train" if number < num_train else "validation"
        question = QUESTIONS[number % num_per_image]
        rows.append(_row(number, split, color, hashlib.sha256(images[-1]).hexdigest(), question))
    return rows, images


def _row(number: int, split: str, color: str, image_id: str, question: str) -> DatasetRow:
    chosen, rejected = ANSWERS[color]
    leaf = "benign" if color == "blue" else "weapon"
    return DatasetRow(
        id=f"pair-{number:03d}", split=split, image_id=image_id, duplicate_group=image_id, question_id=f"q-{number:03d}",
        question=question, chosen=chosen, rejected=rejected, class1=leaf, class2=leaf, class3=leaf,
        kind="hard_question", is_benign=color == "blue", margin=1.0, agreement=1.0, decided_by="harmlessness",
        chosen_model="a", rejected_model="b",
    )  # fmt: skip
