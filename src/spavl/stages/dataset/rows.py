"""The rows of a dataset version."""

from __future__ import annotations

from dataclasses import dataclass

SPLITS = ("train", "validation", "test_harm", "test_help")


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One row of a dataset version: a pair in train or validation, a bare prompt in the test splits."""

    id: str  # preference id, or question id in the test splits
    split: str  # one of SPLITS
    image_id: str
    duplicate_group: (
        str  # smallest image id among this image's near duplicates; one group is never in two splits
    )
    question_id: str
    question: str
    chosen: str | None
    rejected: str | None
    class1: str
    class2: str
    class3: str
    kind: str
    is_benign: bool
    margin: float | None
    agreement: float | None
    decided_by: str | None
    chosen_model: str | None
    rejected_model: str | None
    chosen_is_unsafe: bool | None = None  # the judge's label; a reward model's second head learns from it
    rejected_is_unsafe: bool | None = None


@dataclass(frozen=True, slots=True)
class ImageSplit:
    """Where an image belongs, in this version and in all later ones."""

    id: str  # image id
    split: str  # one of IMAGE_SPLITS, or "left_out": it links groups of two splits
    duplicate_group: str  # smallest image id of its near-duplicate group
    perceptual_hash: str
    is_present: bool  # False: known from an earlier version, not among tonight's images


@dataclass(frozen=True, slots=True)
class VersionPart:
    """One Parquet file of a version's folder."""

    id: str  # path in the folder
    split: str
    sha256: str
    num_bytes: int
    num_rows: int
    value: str  # hash over its rows' sorted values


@dataclass(frozen=True, slots=True)
class VersionRow:
    """In which part of the folder a row lies."""

    id: str  # of the dataset row
    part: str  # VersionPart.id
