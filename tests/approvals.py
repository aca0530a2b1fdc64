"""A run of align_model whose gate has passed and that may wait for a person."""

from __future__ import annotations

from typing import Any

from tests.unit.report import made_runs

from spavl.artifacts.store import Store
from spavl.config.root import Config
from spavl.plan import Plan, plan_path

RUN = made_runs.ALIGN_RUN


def write_run(
    store: Store, *, stages: tuple[str, ...] = ("training", "evaluation", "benchmarks"), **approval: Any
) -> Plan:
    """Plan, data run and these stages; `approval` is release.approval of the profile."""
    made_runs.write_align_run(store, stages=stages)
    config = Config(profile="demo", release={"approval": approval})
    inputs = {"dataset": {"run_id": made_runs.DATA_RUN, "fingerprint": "f"}}
    plan = Plan(
        RUN, "align_model", "manual__1", made_runs.CREATED_AT, "0", "demo", [], config.model_dump(mode="json"), {}, {},
        {"stable": 0, "dataset": 1}, inputs,
    )  # fmt: skip
    store.write(plan_path(RUN), plan.to_json())
    return plan
