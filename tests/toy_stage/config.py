"""The section `captions` of the config."""

from __future__ import annotations

from pydantic import Field

from spavl.config.base import StageSection
from spavl.config.models import ModelSpec, SamplingConfig


class CaptionsConfig(StageSection):
    model: ModelSpec | None = Field(None, description="The model that describes the images.")
    sampling: SamplingConfig = SamplingConfig(temperature=0.0)
    num_shards: int = Field(1, ge=1, description="Shards of the work.")
    chunk_size: int = Field(16, ge=1, description="Captions per part file: the most that a kill costs.")
