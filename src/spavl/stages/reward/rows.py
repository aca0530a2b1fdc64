"""The rows of `reward`: the metrics of a training like any other."""

from __future__ import annotations

from spavl.stages.training.rows import TrainingMetric

__all__ = ["TrainingMetric"]
