"""Rows of the dataset version: a stage that reads it has those of the splits that it asks for, and nothing of the others.

They come in the order of a new version (split, image, question, id), in whatever order the parts of its table lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from spavl.sql import literal
from spavl.stage import StageContext
from spavl.stages.dataset.rows import SPLITS, DatasetRow

TRAIN = "train"


class TrainQuestion(NamedTuple):
    """What a pair of the train split asks about which image."""

    question: str
    image_id: str
    class1: str
    class3: str


def rows_of_splits(context: StageContext, *splits: str) -> list[DatasetRow]:
    """The rows of these splits."""
    context.tables.open("dataset")
    listed = ", ".join(literal(split) for split in splits)
    found = context.tables.sql(f"SELECT * FROM dataset WHERE split IN ({listed})")
    rows = context.tables.rows(found, DatasetRow)
    # sorted here and not by the engine: rows with texts beyond its memory limit cannot be
    return sorted(rows, key=lambda row: (SPLITS.index(row.split), row.image_id, row.question_id, row.id))


def train_questions(context: StageContext) -> Iterator[TrainQuestion]:
    """The questions of the train split, without their answers, batch by batch."""
    context.tables.open("dataset")
    columns = ", ".join(TrainQuestion._fields)
    found = context.tables.sql(
        f"SELECT {columns} FROM dataset WHERE split = {literal(TRAIN)} ORDER BY image_id, question_id, id"
    )
    for batch in context.tables.batches(found):
        yield from map(TrainQuestion._make, zip(*(column.to_pylist() for column in batch), strict=True))


def has_train_pairs(context: StageContext) -> bool:
    """Whether there is anything to train on."""
    context.tables.open("dataset")
    return bool(
        context.tables.value(f"SELECT count(*) FROM (FROM dataset WHERE split = {literal(TRAIN)} LIMIT 1)")
    )
