"""Runs one command of spavl somewhere, streams its log, stops it, and gives back its outcome.

`LAUNCHERS` is the set, one for each kind of the launch section; `command.py` alone builds argv, the same for a laptop,
Airflow and a pod. Where things are:

    on this machine   local, warm and warm_server
    on a cluster      kubernetes: a step from begin to end, for the command line (Airflow's is in spavl.airflow)
      what to make    unit -> needs -> wanted, of pods, serving, jobs or trainjob; names has every name and label
      its life        life: begin, adopt, remove; handle: whose it is; follow, look: watch it; ending: logs, outcome; sweep
      what it means   status: of an object; pods_seen: of one pod; waiting: since when. Pure
      the API         cluster: the calls; credentials; refusals: the server's errors in our words
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from spavl.launch import local
from spavl.launch.local import StepFailed, run_command, run_group
from spavl.outcome import Outcome


class Launcher(NamedTuple):
    """Both do what the plan's launch section says, pass the log's lines to `on_line`, and raise StepFailed."""

    step: Callable[..., Outcome]  # (plan, stage, "prepare" or "seal", *, on_line)
    group: Callable[..., Outcome]  # (plan, stage, group, num_shards, *, on_line)


def _kubernetes_step(*arguments: Any, **options: Any) -> Outcome:
    from spavl.launch.kubernetes import run_step

    return run_step(*arguments, **options)


def _kubernetes_group(*arguments: Any, **options: Any) -> Outcome:
    from spavl.launch.kubernetes import run_group

    return run_group(*arguments, **options)


LAUNCHERS = {
    "local": Launcher(step=local.run_planned_step, group=local.run_planned_group),
    "kubernetes": Launcher(step=_kubernetes_step, group=_kubernetes_group),
}

__all__ = ["LAUNCHERS", "Launcher", "StepFailed", "run_command", "run_group"]
