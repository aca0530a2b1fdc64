"""The models that a config names, and the revisions that a plan pins them to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spavl.config import (
    Config,
    DemoRulesModel,
    EndpointModel,
    FakeModel,
    PoisonedModel,
    TransformersModel,
    VllmModel,
)
from spavl.errors import UserError
from spavl.pipeline import DAGS

_MODEL_TYPES = (EndpointModel, VllmModel, TransformersModel, FakeModel, DemoRulesModel, PoisonedModel)


def models_of(section: Any) -> Iterator[Any]:
    """Every model spec inside a config section."""
    for value in (getattr(section, name) for name in type(section).model_fields):
        for candidate in value if isinstance(value, tuple) else (value,):
            if isinstance(candidate, _MODEL_TYPES):
                yield candidate


def pinned_revisions(config: Config, dag: str) -> dict[str, str]:
    """Model name -> pinned revision, of every model that a DAG's stages name; raises UserError if two have one name."""
    from spavl.inference import resolve_revision

    specs: dict[str, Any] = {}
    for stage in DAGS[dag]:
        for spec in models_of(getattr(config, stage)):
            if specs.setdefault(spec.name, spec) != spec:
                raise UserError(
                    f"two different models of the profile are named {spec.name!r}.",
                    next_step="Give each its own name.",
                )
    return {name: resolve_revision(spec) for name, spec in specs.items()}
