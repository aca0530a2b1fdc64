"""Ask a model: `open_model(spec, revision)` gives one Model, whatever serves it, and `answer` streams its replies.

Reads requests lazily, writes nothing. Promises exactly one Answer per Request, matched by id; a request that fails
becomes an error Answer, and only what no request can survive (wrong key, wrong model, server away) is raised.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from spavl.inference.request import Answer, Model, Request, Sampling
from spavl.inference.revision import resolve_revision

if TYPE_CHECKING:
    from spavl.config import ModelSpec

__all__ = ["BACKENDS", "Answer", "Model", "Request", "Sampling", "open_model", "resolve_revision"]

BACKENDS = {  # kind in the config -> class, made as Backend(spec, revision)
    "endpoint": "spavl.inference.endpoint:EndpointBackend",
    "vllm": "spavl.inference.endpoint:EndpointBackend",
    "transformers": "spavl.inference.transformers:TransformersBackend",
    "fake": "spavl.inference.fake:FakeBackend",
    "demo_rules": "spavl.demo.rules:DemoRules",
    "poisoned": "spavl.inference.poisoned:PoisonedBackend",
}


def open_model(spec: ModelSpec, revision: str) -> Model:
    """The Model of a spec, to be used as a context manager; `revision` is what `resolve_revision` gave the plan.

    Raises UserError for a missing key, folder or template, here or on entering the context.
    """
    module, _, name = BACKENDS[spec.kind].partition(":")
    return getattr(importlib.import_module(module), name)(spec, revision)
