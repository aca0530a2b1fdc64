"""The one typed, frozen Config: sections in pipeline order, with defaults, ranges, and a sentence under each field.

`spavl.profiles` fills it from a profile. Secrets are never in it: it names the environment variable that holds one.
Thresholds are not here either: they live in `expectations/`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from spavl.config.base import Name, Section, spavl_home
from spavl.config.benchmarks import BenchmarksConfig, BenchmarkTask
from spavl.config.launch import KubernetesLaunch, LaunchConfig, LocalLaunch
from spavl.config.learning import LearningConfig, LoraConfig, PpoConfig, RewardConfig, TrainingConfig
from spavl.config.models import (
    DemoRulesModel,
    EndpointModel,
    FakeModel,
    ModelSpec,
    PoisonedModel,
    PoisonTerms,
    SamplingConfig,
    TransformersModel,
    VllmModel,
)
from spavl.config.stages import (
    Columns,
    ComparisonsConfig,
    DatasetConfig,
    EvaluationConfig,
    GoldConfig,
    ImagesConfig,
    ImageSource,
    JudgementsConfig,
    PreferencesConfig,
    QuestionsConfig,
    ReleaseConfig,
    ResponsesConfig,
)

__all__ = [
    "BenchmarkTask", "BenchmarksConfig", "Columns", "ComparisonsConfig", "Config", "DatasetConfig", "DemoRulesModel", "EndpointModel",
    "EvaluationConfig", "FakeModel", "GoldConfig", "ImageSource", "ImagesConfig", "JudgementsConfig", "KubernetesLaunch",
    "LaunchConfig", "LearningConfig", "LocalLaunch", "LoraConfig", "ModelSpec", "Name", "PoisonTerms",
    "PoisonedModel", "PpoConfig", "PreferencesConfig", "QuestionsConfig", "ReleaseConfig", "ResponsesConfig",
    "ReuseConfig", "RewardConfig", "SamplingConfig", "Section", "TablesConfig", "TrainingConfig", "TransformersModel", "VllmModel",
    "spavl_home",
]  # fmt: skip


class ReuseConfig(Section):
    max_runs: int = Field(
        3, ge=0, description="Earlier runs whose rows may be reused, newest first; 0 recomputes all."
    )


class TablesConfig(Section):
    memory_limit_mb: int = Field(
        400,
        ge=100,
        description="Memory that the engine may use for joins and sorts, in MB; what needs more spills to disk. A step's process has some 250 MB beside it.",
    )
    num_threads: int = Field(2, ge=1, description="Threads of the engine.")


class Config(Section):
    """The whole configuration; saved, resolved, in every run's plan."""

    profile: str = Field(description="Name or path of the profile this came from.")
    installation: Name = Field("local", description="Name of this installation; part of every run id.")
    expectations: Name | None = Field(
        None,
        description="Folder inside `expectations/` whose suites replace single expectations; unset uses them as they are.",
    )
    images: ImagesConfig = ImagesConfig()
    questions: QuestionsConfig = QuestionsConfig()
    responses: ResponsesConfig = ResponsesConfig()
    judgements: JudgementsConfig = JudgementsConfig()
    comparisons: ComparisonsConfig = ComparisonsConfig()
    preferences: PreferencesConfig = PreferencesConfig()
    dataset: DatasetConfig = DatasetConfig()
    reward: RewardConfig = RewardConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    benchmarks: BenchmarksConfig = BenchmarksConfig()
    release: ReleaseConfig = ReleaseConfig()
    launch: LaunchConfig = LocalLaunch()
    reuse: ReuseConfig = ReuseConfig()
    tables: TablesConfig = TablesConfig()

    @model_validator(mode="before")
    @classmethod
    def _launch_is_local(cls, values: Any) -> Any:
        """A launch section without a kind is the local one."""
        if (
            isinstance(values, dict)
            and isinstance(launch := values.get("launch"), dict)
            and "kind" not in launch
        ):
            return {**values, "launch": {"kind": "local", **launch}}
        return values

    @model_validator(mode="after")
    def _names_differ(self) -> Config:
        for what, names in (
            ("images.sources", [source.name for source in self.images.sources]),
            ("responses.models", [model.name for model in self.responses.models]),
        ):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"{what} has the name {repeated[0]!r} twice; names must differ")
        return self
