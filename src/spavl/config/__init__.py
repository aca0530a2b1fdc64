"""The words of the configuration: what sections are made of, models, launch. The whole of it is `spavl.config.root.Config`."""

from __future__ import annotations

from spavl.config.base import Name, Section, StageSection, spavl_home
from spavl.config.launch import KubernetesLaunch, LaunchConfig, LocalLaunch
from spavl.config.learning import LearningConfig, LoraConfig
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

__all__ = [
    "DemoRulesModel", "EndpointModel", "FakeModel", "KubernetesLaunch", "LaunchConfig", "LearningConfig", "LocalLaunch",
    "LoraConfig", "ModelSpec", "Name", "PoisonTerms", "PoisonedModel", "SamplingConfig", "Section", "StageSection",
    "TransformersModel", "VllmModel", "spavl_home",
]  # fmt: skip
