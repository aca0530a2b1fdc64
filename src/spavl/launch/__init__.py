"""Runs one command of spavl somewhere, streams its log, stops it, and gives back its outcome.

`LAUNCHERS` is the set; `command.py` alone builds argv, the same for a laptop, Airflow and a pod.
"""

from __future__ import annotations

from spavl.launch.local import StepFailed, run_command, run_group

LAUNCHERS = {"local": run_group}

__all__ = ["LAUNCHERS", "StepFailed", "run_command", "run_group"]
