"""The section `dataset` of the config."""

from __future__ import annotations

from pydantic import Field

from spavl.config.base import Name, StageSection


class DatasetConfig(StageSection):
    channel: Name = Field("dataset", description="Channel that a finished version is published to.")
    test_share: float = Field(
        0.2, gt=0, lt=1, description="Share of the images whose questions become test prompts."
    )
    validation_share: float = Field(
        0.07, gt=0, lt=1, description="Share of the images whose pairs validate training."
    )
    near_duplicate_bits: int = Field(
        4, ge=0, le=32, description="Perceptual hashes that differ in at most this many bits are one group."
    )
    seed: int = Field(0, ge=0, description="Splits the image groups.")
    find_changed_copies: bool = Field(
        True,
        description="Images that are another one cropped, flipped, turned, bordered, captioned or recoloured are one group too.",
    )
    may_miss: tuple[str, ...] = Field(
        (),
        description="Class ids, question kinds and sources that a version may lack though the former one had them.",
    )
    hold_out_words: bool = Field(
        False,
        description="Pairs whose question stands in the test, word for word or nearly so, are left out of train and validation.",
    )
