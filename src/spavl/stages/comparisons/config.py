"""The section `comparisons` of the config."""

from __future__ import annotations

from pydantic import Field

from spavl.config.base import StageSection
from spavl.config.models import ModelSpec, SamplingConfig


class ComparisonsConfig(StageSection):
    judge: ModelSpec | None = Field(None, description="The model that compares two responses.")
    num_safety_groups: int = Field(
        5, ge=2, description="Models are ranked by safe rate and cut into this many groups (SPA-VL: 5)."
    )
    num_pairs_per_question: int = Field(
        1, ge=1, description="Pairs of responses from different groups, per question."
    )
    seed: int = Field(0, ge=0, description="Chooses the pairs.")
    sampling: SamplingConfig = Field(default_factory=lambda: SamplingConfig(temperature=0.0))
    num_shards: int = Field(1, ge=1, description="Shards of the judge's work.")
    chunk_size: int = Field(512, ge=1, description="Askings per part file: the most that a kill costs.")
