"""One function per command of the command line: parsed arguments in, outcome out. COMMANDS is the set.

Only the module of the command that is run is imported: a night starts some hundred short processes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
from collections.abc import Callable

from spavl import ranks
from spavl.artifacts import failure
from spavl.artifacts.store import open_store
from spavl.errors import SpavlError
from spavl.outcome import Outcome
from spavl.pipeline import BY_NAME, STAGES
from spavl.plan import check_run_id

Command = Callable[[argparse.Namespace], Outcome | None]


def _of(module: str, function: str) -> Command:
    """A function of a module of this package, which is imported when the function is called."""

    def command(arguments: argparse.Namespace) -> Outcome | None:
        return getattr(importlib.import_module(f"spavl.commands.{module}"), function)(arguments)

    return command


COMMANDS: dict[str, Command] = {
    "plan": _of("running", "plan"),
    "prepare": _of("stepping", "prepare"),
    "seal": _of("stepping", "seal"),
    "run": _of("running", "run"),
    **{stage.name: _of("stepping", "stage") for stage in STAGES},
    "releases": _of("channels", "releases"),
    "rollback": _of("channels", "rollback"),
    "approve": _of("approving", "approve"),
    "prune": _of("pruning", "prune"),
    "pin": _of("pruning", "pin"),
    "forget": _of("forgetting", "forget"),
    "sweep": _of("sweeping", "sweep"),
    "weights": _of("weights", "weights"),
    "status": _of("looking", "status"),
    "report": _of("looking", "report"),
    "history": _of("history", "history"),
    "config": _of("looking", "config"),
    "doctor": _of("looking", "doctor"),
    "drill": _of("drilling", "drill"),
    "gold": _of("gold", "gold"),
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
