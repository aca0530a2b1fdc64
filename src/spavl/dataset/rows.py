"""The rows of a version: pairs of train and validation images, bare prompts of test images. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from spavl.audit.floods import normalised
from spavl.audit.paraphrases import held_back
from spavl.dataset.splitting import LEFT_OUT, ImageSplit
from spavl.errors import UserError
from spavl.records import SPLITS, DatasetRow, Preference, Question

NO_PAIR = dict.fromkeys(
    ("chosen", "rejected", "margin", "agreement", "decided_by", "chosen_model", "rejected_model")
)


def dataset_rows(
    questions: Sequence[Question], preferences: Sequence[Preference], splits: Mapping[str, ImageSplit]
) -> list[DatasetRow]:
    """All rows, by split, image, question, id; `splits` holds the split of every image by its id."""
    pairs = [
        _pair(row, splits[row.image_id])
        for row in preferences
        if splits[row.image_id].split in ("train", "validation")
    ]
    prompts = [
        _prompt(row, splits[row.image_id])
        for row in questions
        if row.outcome == "ok" and splits[row.image_id].split == "test"
    ]
    return sorted(
        pairs + prompts, key=lambda row: (SPLITS.index(row.split), row.image_id, row.question_id, row.id)
    )


def without_test_words(rows: Sequence[DatasetRow]) -> list[DatasetRow]:
    """The rows without the pairs whose question stands in the test, word for word or nearly so."""
    pairs = [row.question for row in rows if row.chosen is not None]
    held = held_back(pairs, [row.question for row in rows if row.chosen is None])
    return [row for row in rows if row.chosen is None or normalised(row.question) not in held]


def unused_preferences(preferences: Sequence[Preference], splits: Mapping[str, ImageSplit]) -> dict[str, int]:
    """Pairs that are in no split: of test images (their questions are held out), of images left out."""
    found = Counter(splits[row.image_id].split for row in preferences)
    return {
        "preferences_of_test_images": found["test"],
        "preferences_of_images_left_out": found[LEFT_OUT],
    }


def check_no_split_is_empty(rows: Sequence[DatasetRow], splits: Sequence[ImageSplit]) -> None:
    """Raises UserError, with rows and images per split seen, where a split has no row."""
    found = Counter(row.split for row in rows)
    empty = [split for split in SPLITS if not found[split]]
    if empty:
        images = Counter(row.split for row in splits if row.is_present)
        groups = Counter(row.duplicate_group for row in splits if row.is_present)
        raise UserError(
            f"the split {empty[0]!r} would be empty; rows per split: {dict(found)}; "
            f"images per split: {dict(images)}; "
            f"the largest near-duplicate group has {max(groups.values())} of {groups.total()} images.",
            next_step="Give more images or benign controls, larger dataset.test_share or validation_share, "
            "fewer dataset.near_duplicate_bits, or dataset.hold_out_words: false.",
        )


def _pair(row: Preference, place: ImageSplit) -> DatasetRow:
    return DatasetRow(
        id=row.id,
        split=place.split,
        image_id=row.image_id,
        duplicate_group=place.duplicate_group,
        question_id=row.question_id,
        question=row.question,
        chosen=row.chosen,
        rejected=row.rejected,
        class1=row.class1,
        class2=row.class2,
        class3=row.class3,
        kind=row.kind,
        is_benign=row.is_benign,
        margin=row.margin,
        agreement=row.agreement,
        decided_by=row.decided_by,
        chosen_model=row.chosen_model,
        rejected_model=row.rejected_model,
        chosen_is_unsafe=row.chosen_is_unsafe,
        rejected_is_unsafe=row.rejected_is_unsafe,
    )


def _prompt(row: Question, place: ImageSplit) -> DatasetRow:
    is_benign = row.kind == "benign_control"
    return DatasetRow(
        id=row.id,
        split="test_help" if is_benign else "test_harm",
        image_id=row.image_id,
        duplicate_group=place.duplicate_group,
        question_id=row.id,
        question=row.text,
        class1=row.class1,
        class2=row.class2,
        class3=row.class3,
        kind=row.kind,
        is_benign=is_benign,
        **NO_PAIR,
    )
