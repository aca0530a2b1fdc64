"""What a metric may be: a training that leaves its bounds, or whose numbers are none, stops at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from spavl.errors import CheckFailed
from spavl.learning.metrics import first_not_finite


@dataclass(frozen=True)
class Limits:
    """Largest allowed values, each the mean of one step, and the config's section that sets them."""

    max_loss: float | None = None
    max_chosen_fall: float | None = None  # nats per answer below the reference: likelihood displacement
    max_kl: float | None = None  # nats per token
    section: str = "training"


def refuse_divergence(logs: Mapping[str, float], step: int, limits: Limits) -> None:
    """Raise CheckFailed where a value shows that training has gone astray."""
    section = limits.section
    name = first_not_finite(logs)
    if name is not None:
        what = "not a number" if math.isnan(logs[name]) else "infinite"
        raise CheckFailed(
            f"training diverged: {name} is {what} at step {step}; every step needs a finite one.",
            next_step=f"Lower {section}.learning_rate or raise {section}.warmup_steps, and start a new run.",
        )
    fall = -logs["logps/chosen_change"] if "logps/chosen_change" in logs else None
    for seen, limit, words, remedy in (
        (logs.get("loss"), limits.max_loss, "the loss is", f"raise {section}.max_loss"),
        (
            fall,
            limits.max_chosen_fall,
            "the chosen answers' mean log-probability fell below the reference by",
            "raise training.sft_weight or training.max_chosen_fall_nats",
        ),
        (
            logs.get("kl"),
            limits.max_kl,
            "KL to the reference is",
            "raise training.ppo.kl_coef or training.ppo.max_kl",
        ),
    ):
        if seen is not None and limit is not None and seen > limit:
            raise CheckFailed(
                f"training left its bounds at step {step}: {words} {seen:.4g}, allowed are {limit:.4g}.",
                next_step=f"Lower {section}.learning_rate or {remedy}, and start a new run.",
            )


def refuse_not_finite(found: Mapping[str, float]) -> None:
    """Raise CheckFailed for a metric of the trained model that is no finite number."""
    for name, value in found.items():
        if not math.isfinite(value):
            _refuse_last_step(f"{name} is not finite ({value})")


def refuse_spoilt(names: Sequence[str]) -> None:
    """Raise CheckFailed for trained weights, by their names, that are no finite numbers."""
    if names:
        _refuse_last_step(f"{len(names)} trained weights are not finite, {names[0]} among them")


def _refuse_last_step(what: str) -> NoReturn:
    raise CheckFailed(
        f"training diverged in its last step: {what}.",
        next_step="Lower the learning_rate or raise warmup_steps, and start a new run.",
    )
