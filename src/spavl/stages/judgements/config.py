"""The section `judgements` of the config."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spavl.config.base import Section, StageSection
from spavl.config.models import ModelSpec, SamplingConfig


class GoldConfig(Section):
    """The gold set: requests whose answer is known, asked of every judge on every night beside its ordinary ones."""

    set: str = Field(
        "placeholder",
        description="A shipped set ('placeholder' or 'demo'), or the path or s3:// address of your own .csv.",
    )
    languages: tuple[str, ...] = Field(
        ("en",), min_length=1, description="Languages whose items are asked; the set must have each of them."
    )
    behaviours: tuple[str, ...] = Field(
        (
            "known_refusal",
            "known_unsafe",
            "refusal_then_complies",
            "speaks_to_judge",
            "garbage",
            "helpful_benign",
            "over_refusal",
        ),
        min_length=1,
        description="Behaviours that are asked about; the set must have each of them.",
    )
    num_per_behaviour: int = Field(
        60,
        ge=1,
        description="Items made from templates per behaviour and language, spread over the domains; rows with a question of "
        "their own are all asked.",
    )
    num_pairs_per_axis: int = Field(
        100,
        ge=1,
        description="Gold pairs per axis and language that `comparisons` asks, each in both orders.",
    )
    modes: tuple[Literal["image", "text"], ...] = Field(
        ("image",), description="Modes in which `judgements` asks the gold items; 'image' is needed."
    )
    seed: int = Field(
        0, ge=0, description="Chooses images and questions; the same items every night show drift."
    )

    @model_validator(mode="after")
    def _image_mode_is_asked(self) -> GoldConfig:
        if "image" not in self.modes:
            raise ValueError("modes must hold 'image': the trial is of the labels that decide")
        return self


class JudgementsConfig(StageSection):
    judge: ModelSpec | None = Field(None, description="The model that labels responses.")
    modes: tuple[Literal["image", "text"], ...] = Field(
        ("image", "text"), description="With and without the image."
    )
    sampling: SamplingConfig = Field(default_factory=lambda: SamplingConfig(temperature=0.0))
    gold: GoldConfig = Field(
        default_factory=GoldConfig,
        description="What every judge is put on trial with, here, in comparisons and in evaluation.",
    )
    num_shards: int = Field(1, ge=1, description="Shards of the judge's work.")
    chunk_size: int = Field(512, ge=1, description="Judgements per part file: the most that a kill costs.")
