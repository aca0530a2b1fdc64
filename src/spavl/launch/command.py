"""The argv of every command that a launcher starts. It carries ids only: no profile, no secret, no content."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spavl.pipeline import BY_NAME

if TYPE_CHECKING:
    from spavl.config import LaunchConfig

STEPS = ("prepare", "work", "seal")
POD_PYTHON = "python"  # of our images
SHARD = "SPAVL_SHARD"  # a pod's environment variable: its number in an Indexed Job


def stage_command(
    stage: str,
    step: str,
    run_id: str,
    *,
    group: str | None = None,
    shard: int | str = 0,
    num_shards: int = 1,
    num_processes: int = 1,
    python: str = sys.executable,
) -> list[str]:
    """`spavl <stage> --run-id R --group G --shard i/n` for work, `spavl <step> <stage> --run-id R` for the other steps.

    With several processes torchrun starts the same words once for each rank.
    """
    words = [python, "-m", "spavl"]
    if step == "work":
        if num_processes > 1:
            words = [*_torchrun(num_processes, python), "-m", "spavl"]
        return [*words, *_work(stage, run_id, group, shard, num_shards)]
    if step not in STEPS:
        raise ValueError(f"{step!r} is not one of {STEPS}")
    return [*words, step, stage, "--run-id", run_id]


def pod_command(
    stage: str,
    step: str,
    run_id: str,
    *,
    group: str | None = None,
    num_shards: int = 1,
    num_processes: int = 1,
) -> list[str]:
    """`stage_command` for a container: in an Indexed Job the kubelet writes each pod's shard into the words."""
    return stage_command(
        stage,
        step,
        run_id,
        group=None if group is None else as_written(group),
        shard=f"$({SHARD})" if num_shards > 1 else 0,
        num_shards=num_shards,
        num_processes=num_processes,
        python=POD_PYTHON,
    )


def trainer_command(stage: str, run_id: str, group: str) -> list[str]:
    """The work of a training on every node of a TrainJob: Kubeflow Trainer tells torchrun nodes and ranks by PET_ variables."""
    torchrun = [POD_PYTHON, "-m", "torch.distributed.run"]
    return [*torchrun, "-m", "spavl", *_work(stage, run_id, as_written(group), 0, 1)]


def weights_command(run_id: str, model: str, folder: str) -> list[str]:
    """`spavl weights` in a container: fetches a model's pinned weights into `folder`."""
    return [POD_PYTHON, "-m", "spavl", "weights", "--run-id", run_id, "--model", model, "--folder", folder]


def as_written(text: str) -> str:
    """For a container's command or environment, where the kubelet reads `$$` as `$` and `$(NAME)` as a variable."""
    return text.replace("$", "$$")


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


def rollback_command(channel: str, *, to: int | None, reason: str, name: str) -> list[str]:
    argv = [*_spavl(), "rollback", "--channel", channel, "--reason", reason, "--name", name]
    return argv if to is None else [*argv, "--to", str(to)]


def _spavl() -> list[str]:
    return [sys.executable, "-m", "spavl"]


def _work(stage: str, run_id: str, group: str | None, shard: int | str, num_shards: int) -> list[str]:
    if group is None:
        raise ValueError("work needs a group")
    return [stage, "--run-id", run_id, "--group", group, "--shard", f"{shard}/{num_shards}"]


def _torchrun(num_processes: int, python: str) -> list[str]:
    return [python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes)]
