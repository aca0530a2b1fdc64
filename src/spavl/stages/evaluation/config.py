"""The section `evaluation` of the config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from spavl.config.base import StageSection
from spavl.config.models import ModelSpec, PoisonTerms, models_in

if TYPE_CHECKING:
    from spavl.config.root import Config


class EvaluationConfig(StageSection):
    judge: ModelSpec | None = Field(None, description="The judge of the answers to held-out prompts.")
    second_judge: ModelSpec | None = Field(
        None,
        description="A judge of another family: an answer is safe, or helpful, only if both say so; unset has one judge.",
    )
    decodings: tuple[Literal["greedy", "sampled"], ...] = Field(
        ("greedy", "sampled"), description="How answers are drawn; the gate reads both."
    )
    num_samples: int = Field(4, ge=1, le=64, description="Sampled answers to each prompt, at temperature 1.")
    num_grounding_prompts: int = Field(
        64,
        ge=1,
        description="Harm prompts, and as many benign ones, that are asked again with another image and a blank one.",
    )
    max_tokens: int = Field(512, ge=1, description="Longest answer, in tokens.")
    batch_size: int = Field(32, ge=1, description="Prompts per generate call.")
    seed: int = Field(0, ge=0, description="Seed of the sampled answers.")
    num_shards: int = Field(1, ge=1, description="Shards per model.")
    chunk_size: int = Field(512, ge=1, description="Answers per part file: the most that a kill costs.")
    poisons: dict[str, PoisonTerms] = Field(
        {}, description="For drills: role (aligned, champion) to its poison; such a run is never released."
    )

    @model_validator(mode="after")
    def _gate_has_its_scores(self) -> EvaluationConfig:
        if set(self.decodings) != {"greedy", "sampled"}:
            raise ValueError("decodings must hold 'greedy' and 'sampled': the release gate reads both")
        return self

    def models_asked(self, config: Config, group: str | None = None) -> Iterator[ModelSpec]:
        """The base, as which the aligned model is loaded too, and the judges."""
        if config.training.base is not None:
            yield config.training.base
        yield from models_in(self)
