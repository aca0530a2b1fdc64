"""Why a stage's last attempt ended without its result: `failure.json`, the outcome line of the process that knew.

Several ranks do one training, and torchrun turns all their exit codes into 1. So the one that knows the reason leaves it
here; the others, who only saw it vanish, do not write over it.
"""

from __future__ import annotations

from spavl.artifacts.record import stage_folder
from spavl.artifacts.store import Store
from spavl.errors import EXIT_BUG
from spavl.outcome import Outcome, parse


def keep(store: Store, outcome: Outcome, *, is_alone: bool = True) -> Outcome:
    """Leave a failure; returns the one that counts, which among several ranks may be another's."""
    path = _path(outcome.run_id, outcome.stage)
    content = outcome.to_line().encode()
    if is_alone or outcome.exit_code != EXIT_BUG:
        store.write(path, content)
        return outcome
    store.create(path, content)
    return read(store, outcome.run_id, outcome.stage) or outcome


def read(store: Store, run_id: str, stage: str) -> Outcome | None:
    """The failure that is left, or None."""
    try:
        return parse(store.read(_path(run_id, stage)).decode())
    except FileNotFoundError:
        return None


def forget(store: Store, run_id: str, stage: str) -> None:
    """A new attempt begins."""
    store.remove_files([_path(run_id, stage)])


def _path(run_id: str, stage: str) -> str:
    return f"{stage_folder(run_id, stage)}/failure.json"
