"""`spavl weights`: what a pod does before its vLLM server starts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spavl.artifacts.store import open_store
from spavl.config import VllmModel
from spavl.errors import UserError
from spavl.inference.weights import fetch_weights
from spavl.outcome import Outcome
from spavl.plan import Plan, read_plan


def weights(arguments: argparse.Namespace) -> Outcome:
    """Fetch the weights that the run's plan pins for one of its vLLM models; what is there already is not fetched again."""
    made = read_plan(open_store(), arguments.run_id)
    spec = _model(made, arguments.model)
    print(f"weights: {spec.path} at {spec.revision}", file=sys.stderr, flush=True)
    fetched = fetch_weights(spec, Path(arguments.folder))
    print(f"weights: {fetched.num_files} files in {fetched.path}", file=sys.stderr, flush=True)
    return Outcome(
        "weights",
        run_id=made.run_id,
        verdict="already done" if fetched.was_there else "done",
        counts={"files": fetched.num_files, "bytes": fetched.num_bytes},
    )


def _model(made: Plan, name: str) -> VllmModel:
    config = made.resolved
    served = {
        spec.name: spec
        for stage in made.stages
        for spec in config.section(stage).models_asked(config)
        if isinstance(spec, VllmModel)
    }
    if name not in served:
        raise UserError(
            f"run {made.run_id} has no vLLM model {name!r}.",
            next_step=f"Its vLLM models are: {', '.join(served) or 'none'}.",
        )
    return served[name]
