"""The revisions that a plan pins the models of a config to."""

from __future__ import annotations

from spavl.config import ModelSpec
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.pipeline import DAGS


def pinned_revisions(config: Config, dag: str) -> dict[str, str]:
    """Model name -> pinned revision, of every model that a DAG's stages ask; raises UserError if two have one name."""
    from spavl.inference import resolve_revision

    specs: dict[str, ModelSpec] = {}
    for stage in DAGS[dag]:
        for spec in config.section(stage).models_asked(config):
            if specs.setdefault(spec.name, spec) != spec:
                raise UserError(
                    f"two different models of the profile are named {spec.name!r}.",
                    next_step="Give each its own name.",
                )
    return {name: resolve_revision(spec) for name, spec in specs.items()}
