"""One function per command of the command line: parsed arguments in, outcome out. COMMANDS is the set."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable

from spavl import ranks
from spavl.artifacts import failure
from spavl.artifacts.store import open_store
from spavl.commands import (
    approving,
    channels,
    drilling,
    forgetting,
    gold,
    history,
    looking,
    pruning,
    running,
    sweeping,
    weights,
)
from spavl.errors import SpavlError
from spavl.outcome import Outcome
from spavl.pipeline import BY_NAME, STAGES
from spavl.plan import check_run_id

COMMANDS: dict[str, Callable[[argparse.Namespace], Outcome | None]] = {
    "plan": running.plan,
    "prepare": running.prepare,
    "seal": running.seal,
    "run": running.run,
    **{stage.name: running.stage for stage in STAGES},
    "releases": channels.releases,
    "rollback": channels.rollback,
    "approve": approving.approve,
    "prune": pruning.prune,
    "pin": pruning.pin,
    "forget": forgetting.forget,
    "sweep": sweeping.sweep,
    "weights": weights.weights,
    "status": looking.status,
    "report": looking.report,
    "history": history.history,
    "config": looking.config,
    "doctor": looking.doctor,
    "drill": drilling.drill,
    "gold": gold.gold,
}


def keep_failure(outcome: Outcome) -> Outcome:
    """Leave a stage's failure beside its parts, where the report and the launcher read it; returns the one that counts.

    A store that is away is told by the outcome itself.
    """
    if outcome.stage in BY_NAME:
        with contextlib.suppress(SpavlError, OSError):
            check_run_id(outcome.run_id)
            return failure.keep(open_store(), outcome, is_alone=ranks.num_ranks() == 1)
    return outcome
