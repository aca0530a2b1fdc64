"""The section `responses` of the config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from spavl.config.base import StageSection, refuse_same_names
from spavl.config.models import ModelSpec, SamplingConfig

if TYPE_CHECKING:
    from spavl.config.root import Config


class ResponsesConfig(StageSection):
    models: tuple[ModelSpec, ...] = Field(
        (), description="The answering models; at least two with differing safety."
    )
    num_samples_per_question: int = Field(1, ge=1, description="Answers per question and model.")
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    num_shards: int = Field(1, ge=1, description="Shards per model.")
    chunk_size: int = Field(256, ge=1, description="Answers per part file: the most that a kill costs.")

    def models_asked(self, config: Config, group: str | None = None) -> Iterator[ModelSpec]:
        """A group is a model."""
        yield from (spec for spec in self.models if group in (None, spec.name))

    @field_validator("models")
    @classmethod
    def _names_differ(cls, models: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
        refuse_same_names(models)
        return models
