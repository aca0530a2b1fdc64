"""The argv of every command that a launcher starts. It carries ids only: no profile, no secret, no content."""

from __future__ import annotations

import sys
from collections.abc import Sequence

STEPS = ("prepare", "work", "seal")


def stage_command(
    stage: str, step: str, run_id: str, *, group: str | None = None, shard: int = 0, num_shards: int = 1
) -> list[str]:
    """`spavl <stage> --run-id R --group G --shard i/n` for work, `spavl <step> <stage> --run-id R` for the other steps."""
    if step == "work":
        if group is None:
            raise ValueError("work needs a group")
        return [*_spavl(), stage, "--run-id", run_id, "--group", group, "--shard", f"{shard}/{num_shards}"]
    if step not in STEPS:
        raise ValueError(f"{step!r} is not one of {STEPS}")
    return [*_spavl(), step, stage, "--run-id", run_id]


def plan_command(
    dag: str,
    airflow_run_id: str,
    profile: str,
    *,
    overrides: Sequence[str] = (),
    logical_date: str | None = None,
    dataset_run: str | None = None,
) -> list[str]:
    """`spavl plan`: the only command that names a profile."""
    argv = [*_spavl(), "plan", "--dag", dag, "--airflow-run-id", airflow_run_id, "--profile", profile]
    for override in overrides:
        argv += ["--set", override]
    if logical_date:
        argv += ["--logical-date", logical_date]
    if dataset_run:
        argv += ["--dataset-run", dataset_run]
    return argv


def report_command(run_id: str) -> list[str]:
    return [*_spavl(), "report", "--run-id", run_id]


def rollback_command(channel: str, *, to: int | None, reason: str) -> list[str]:
    argv = [*_spavl(), "rollback", "--channel", channel, "--reason", reason]
    return argv if to is None else [*argv, "--to", str(to)]


def _spavl() -> list[str]:
    return [sys.executable, "-m", "spavl"]
