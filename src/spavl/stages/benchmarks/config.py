"""The section `benchmarks` of the config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from spavl.config.base import Name, Section, StageSection, refuse_same_names
from spavl.config.models import ModelSpec

if TYPE_CHECKING:
    from spavl.config.root import Config


class BenchmarkTask(Section):
    """One Inspect task. A task of a file of yours is code that runs with the rights of the stage: name only files you trust."""

    name: Name = Field(description="The word for it in tables, suites and reports.")
    task: str = Field(
        description="'spavl/<task>' for a shipped one, '<package>/<task>' for one of an installed package such as"
        " inspect_evals, 'path/to/file.py@<task>' for yours: that file's code is run."
    )
    args: dict[str, Any] = Field(
        {}, description="Arguments of the task; 'spavl/judge' is the judge's name as a model."
    )
    family: Literal["attack", "over_refusal", "capability", "other"] | None = Field(
        None,
        description="Which limits of expectations/benchmarks.yaml apply; unset takes the shipped task's own.",
    )
    limit: int = Field(200, ge=1, description="Samples asked at most, from the first.")
    hit_from: float = Field(
        0.5,
        description="A sample whose score is at least this counts as a hit; every rate is a share of hits.",
    )


_SHIPPED = (
    "typed_in_image",
    "refusal_suppression",
    "role_play",
    "noise_suffix",
    "one_word_twins",
    "low_resolution",
    "alarming_words",
    "alarming_image",
    "one_word_benign",
    "shapes_and_colours",
)


class BenchmarksConfig(StageSection):
    tasks: tuple[BenchmarkTask, ...] = Field(
        default_factory=lambda: tuple(BenchmarkTask(name=name, task=f"spavl/{name}") for name in _SHIPPED),
        description="Inspect tasks; names must differ.",
    )
    judge: ModelSpec | None = Field(
        None, description="The judge of the answers; unset takes evaluation.judge."
    )
    max_tokens: int = Field(512, ge=1, description="Longest answer, in tokens, if the task sets none.")
    batch_size: int = Field(
        32,
        ge=1,
        description="Samples asked together, and prompts per generate call: the most that a kill costs.",
    )
    max_wait_s: float = Field(
        0.25, gt=0, description="A smaller batch is asked once no further prompt has come for this long."
    )
    seed: int = Field(0, ge=0, description="Chooses prompts, noise and drawings; part of every row's id.")
    log_images: bool = Field(
        True, description="Keep the images in the logs, so that Inspect's viewer shows them."
    )
    num_shards: int = Field(1, ge=1, description="Shards per model; each takes whole benchmarks.")

    @field_validator("tasks")
    @classmethod
    def _names_differ(cls, tasks: tuple[BenchmarkTask, ...]) -> tuple[BenchmarkTask, ...]:
        if not tasks:
            raise ValueError("at least one task is needed; leave `tasks` out to take the shipped ones")
        refuse_same_names(tasks)
        return tasks

    def models_asked(self, config: Config, group: str | None = None) -> Iterator[ModelSpec]:
        """The base, as which the aligned model is loaded too, and the judge: evaluation's unless there is one here."""
        judge = self.judge or config.evaluation.judge
        yield from (spec for spec in (config.training.base, judge) if spec is not None)
