"""The trainer's history as rows: one value per name and logged step. No step depends on when a run was resumed.

The trainer logs every step, so no half-filled average is lost with a killed process; averages are made here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spavl.stages.training.rows import TrainingMetric

_NOT_METRICS = {"step", "epoch"}
_LAST_OF_WINDOW = {"learning_rate", "grad_norm", "num_tokens"}  # states, not averages
_TIMES = ("runtime", "per_second", "preparation_time", "mfu")  # no two runs have the same


def training_rows(history: Sequence[Mapping[str, Any]], log_every_steps: int) -> list[TrainingMetric]:
    """Rows of the training steps: means over each window of `log_every_steps` steps, the last window may be shorter."""
    steps = [entry for entry in history if "loss" in entry]
    rows: list[TrainingMetric] = []
    window: list[Mapping[str, Any]] = []
    for entry in steps:
        window.append(entry)
        if entry["step"] % log_every_steps == 0 or entry is steps[-1]:
            rows += _rows(window)
            window = []
    return rows


def evaluation_rows(entry: Mapping[str, Any], step: int, epoch: float) -> list[TrainingMetric]:
    """Rows of one pass over the validation pairs, `eval_` in front of each name."""
    names = sorted(name for name in entry if name.startswith("eval_") and _is_metric(name))
    return [_row(step, epoch, name, entry[name]) for name in names if name != "eval_num_tokens"]


def first_not_finite(entry: Mapping[str, Any]) -> str | None:
    """Name of a value that shows that training diverged, or None."""
    watched = ("loss", "grad_norm")
    return next((name for name in watched if name in entry and not math.isfinite(entry[name])), None)


def _rows(window: Sequence[Mapping[str, Any]]) -> list[TrainingMetric]:
    last = window[-1]
    rows = []
    for name in sorted(name for name in last if _is_metric(name)):
        values = [float(entry[name]) for entry in window if name in entry]
        value = values[-1] if name in _LAST_OF_WINDOW else math.fsum(values) / len(values)
        rows.append(_row(last["step"], last["epoch"], name, value))
    return rows


def _is_metric(name: str) -> bool:
    return name not in _NOT_METRICS and not name.endswith(_TIMES)


def _row(step: int, epoch: float, name: str, value: Any) -> TrainingMetric:
    return TrainingMetric(f"{step}/{name}", step, float(epoch), name, float(value))
