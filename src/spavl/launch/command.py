"""The argv of every command that a launcher starts. It carries ids only: no profile, no secret, no content."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spavl.pipeline import BY_NAME

if TYPE_CHECKING:
    from spavl.config import LaunchConfig

STEPS = ("prepare", "work", "seal")


def stage_command(
    stage: str,
    step: str,
    run_id: str,
    *,
    group: str | None = None,
    shard: int = 0,
    num_shards: int = 1,
    num_processes: int = 1,
) -> list[str]:
    """`spavl <stage> --run-id R --group G --shard i/n` for work, `spavl <step> <stage> --run-id R` for the other steps.

    With several processes torchrun starts the same words once for each rank.
    """
    if step == "work":
        if group is None:
            raise ValueError("work needs a group")
        spavl = _spavl() if num_processes == 1 else [*_torchrun(num_processes), "-m", "spavl"]
        return [*spavl, stage, "--run-id", run_id, "--group", group, "--shard", f"{shard}/{num_shards}"]
    if step not in STEPS:
        raise ValueError(f"{step!r} is not one of {STEPS}")
    return [*_spavl(), step, stage, "--run-id", run_id]


def num_processes(stage: str, launch: LaunchConfig) -> int:
    """Ranks that do one shard of a stage together on this machine."""
    return launch.num_training_processes if BY_NAME[stage].runs_on == "training" else 1


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


def _torchrun(num_processes: int) -> list[str]:
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes),
    ]  # fmt: skip
