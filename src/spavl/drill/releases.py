"""A release more in the drill's own channel: what the champion of a later night of a slow drift is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from spavl import run as steps
from spavl.artifacts import channel
from spavl.artifacts.record import read_record
from spavl.artifacts.store import Store
from spavl.plan import Plan

HELP = "held_out_benign/aligned/help_rate"  # in a channel entry's scores
TakeOver = Callable[[Store, Plan, str, str], None]


def release_again(store: Store, plan: Plan, honest_run: str, help_loss: float, take_over: TakeOver) -> None:
    """The honest release under another run, published again with a help rate that is lower by `help_loss`."""
    for stage in plan.stages:
        if read_record(store, honest_run, stage) is not None:
            take_over(store, plan, stage, honest_run)
    name = plan.config["release"]["channel"]
    head = channel.head(store, name)
    assert head is not None, "a drill starts from a released night"
    entry = dataclasses.replace(
        head,
        number=head.number + 1,
        parent=head.number,
        run_id=plan.run_id,
        fingerprint=steps.StageRun(store, plan, "release").fingerprint,
        details=_worse(head.details, help_loss),
    )
    channel.append(store, name, entry)


def _worse(details: dict[str, Any], help_loss: float) -> dict[str, Any]:
    scores = dict(details.get("scores", {}))
    if HELP in scores:
        scores[HELP] -= help_loss
    return {**details, "scores": scores}
