"""The one typed, frozen Config: the sections of the stages, in the order of the map, and those of no stage.

`spavl.profiles` fills it from a profile. Secrets are never in it: it names the environment variable that holds one.
Thresholds are not here either: they live in `expectations/`. Each stage's section is in the stage's own folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model, model_validator

from spavl.config.base import Name, Section, StageSection
from spavl.config.launch import LaunchConfig, LocalLaunch
from spavl.pipeline import BY_NAME
from spavl.stages import section_type_of


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


class _Config(Section):
    """The whole configuration; saved, resolved, in every run's plan."""

    profile: str = Field(description="Name or path of the profile this came from.")
    installation: Name = Field("local", description="Name of this installation; part of every run id.")
    expectations: Name | None = Field(
        None,
        description="Folder inside `expectations/` whose suites replace single expectations; unset uses them as they are.",
    )
    # factories: a default that is made at import costs every process the validators of its section
    launch: LaunchConfig = Field(default_factory=LocalLaunch)
    reuse: ReuseConfig = Field(default_factory=ReuseConfig)
    tables: TablesConfig = Field(default_factory=TablesConfig)

    def section(self, stage: str) -> StageSection:
        """A stage's own section."""
        return getattr(self, stage)

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


if TYPE_CHECKING:  # what the map makes below, in words that a type checker reads
    from spavl.stages.benchmarks.config import BenchmarksConfig
    from spavl.stages.comparisons.config import ComparisonsConfig
    from spavl.stages.dataset.config import DatasetConfig
    from spavl.stages.evaluation.config import EvaluationConfig
    from spavl.stages.images.config import ImagesConfig
    from spavl.stages.judgements.config import JudgementsConfig
    from spavl.stages.preferences.config import PreferencesConfig
    from spavl.stages.questions.config import QuestionsConfig
    from spavl.stages.release.config import ReleaseConfig
    from spavl.stages.responses.config import ResponsesConfig
    from spavl.stages.reward.config import RewardConfig
    from spavl.stages.training.config import TrainingConfig

    class Config(_Config):
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

else:
    Config = create_model(
        "Config",
        __base__=_Config,
        __doc__=_Config.__doc__,
        __module__=__name__,
        **{stage: (kind := section_type_of(stage), Field(default_factory=kind)) for stage in BY_NAME},
    )
