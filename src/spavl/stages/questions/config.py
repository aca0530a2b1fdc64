"""The section `questions` of the config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from spavl.config.base import StageSection
from spavl.config.models import ModelSpec, SamplingConfig

if TYPE_CHECKING:
    from spavl.config.root import Config


class QuestionsConfig(StageSection):
    generator: ModelSpec | None = Field(
        None, description="Model that writes the questions; unset uses only provided ones."
    )
    kinds: tuple[str, ...] = Field(
        ("easy_question", "hard_question", "hard_statement"),
        description="Kinds asked for each harmful image.",
    )
    num_benign_controls: int = Field(2, ge=0, description="Benign controls asked for each benign image.")
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    max_chars: int = Field(2000, ge=1, description="A longer question is recorded as unparsable.")
    num_shards: int = Field(1, ge=1, description="Shards of the generator's work.")
    chunk_size: int = Field(256, ge=1, description="Questions per part file: the most that a kill costs.")

    def models_asked(self, config: Config, group: str | None = None) -> Iterator[ModelSpec]:
        """A group is the generator, or `source`: questions that came with the images, for which no model is asked."""
        if self.generator is not None and group in (None, self.generator.name):
            yield self.generator
