"""A planned run whose stages go to a cluster, without a store: what the manifests are made from."""

from __future__ import annotations

from typing import Any

from spavl.config.root import Config
from spavl.plan import Plan

RUN_ID = "20260101-0123456789"
JUDGE = {"kind": "vllm", "name": "judge", "path": "organisation/judge", "revision": "c0ffee"}
BASE = {"kind": "transformers", "name": "base", "path": "organisation/base", "revision": "beef"}
IMAGES = {"data": "registry.test/data:1", "training": "registry.test/training:1"}


def cluster_config(launch: dict[str, Any] | None = None, **sections: Any) -> Config:
    """An endpoint writes questions and one model answers by transformers; a vLLM server is the judge."""
    answerers = [
        {"kind": "fake", "name": "fake"},
        {"kind": "transformers", "name": "local", "path": "organisation/local", "revision": "cafe"},
        {"kind": "vllm", "name": "served", "path": "s3://models/served", "revision": "v1", "num_gpus": 2},
    ]
    generator = {"kind": "endpoint", "name": "writer", "model": "m", "revision": "1", "base_url": "https://writer.test/v1"}  # fmt: skip
    values: dict[str, Any] = {
        "profile": "cluster-tests",
        "installation": "tests",
        "questions": {"generator": generator},
        "responses": {"models": answerers},
        "judgements": {"judge": JUDGE},
        "comparisons": {"judge": JUDGE},
        "training": {"base": BASE},
        "evaluation": {"judge": JUDGE},
        "launch": {
            "kind": "kubernetes",
            "images": IMAGES,
            "env": {"SPAVL_STORE": "s3://bucket/tests"},
            **(launch or {}),
        },
        **sections,
    }
    return Config.model_validate(values)


def cluster_plan(launch: dict[str, Any] | None = None, **sections: Any) -> Plan:
    return plan_of(cluster_config(launch, **sections))


def plan_of(config: Config) -> Plan:
    """The plan of a run of refresh_preferences, as `spavl plan` would have written it."""
    return Plan(
        run_id=RUN_ID,
        dag="refresh_preferences",
        airflow_run_id="tonight",
        created_at="2026-01-01T00:00:00.000000+00:00",
        code_version="0",
        profile=config.profile,
        overrides=[],
        config=config.model_dump(mode="json"),
        revisions={},
        suites={},
        heads={},
    )


# every kind of pod: (stage, step, group, num_shards)
UNITS = [
    ("images", "prepare", None, 1),
    ("images", "work", "drawings", 1),
    ("images", "work", "drawings", 5),
    ("questions", "work", "writer", 2),
    ("responses", "work", "local", 1),
    ("responses", "work", "served", 3),
    ("judgements", "work", "judge", 4),
    ("evaluation", "work", "aligned", 1),
    ("training", "work", "dpo", 1),
    ("dataset", "seal", None, 1),
]
