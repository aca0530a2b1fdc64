"""Which runs came before, newest first, from one listing and the plans of the newest day.

Every plan says which runs it knew (`Plan.earlier`), so the runs of earlier days need no reading. Plans of former versions do
not say it: in their store the first plan reads what it needs, and those that follow read it from that plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from spavl.pipeline import DAGS

RUN_ID = re.compile(r"^\d{8}-[0-9a-f]{10}$")
MOST_KEPT = 32  # runs of each DAG that a plan names


class Known(NamedTuple):
    """What reuse needs to know of a run."""

    run_id: str
    dag: str
    created_at: str  # of its plan; UTC, ISO 8601

    @property
    def place(self) -> tuple[str, str]:
        """Among the runs: the date of the id, then the time."""
        return self.run_id[:8], self.created_at


Earlier = Mapping[
    str, Sequence[Sequence[str]]
]  # DAG -> its newest runs as (run id, created at), newest first
Told = tuple[Known, Earlier | None]  # by a plan: of itself, and of the runs before it


def former_runs(
    names: Iterable[str], read: Callable[[str], Told | None], *, most: int, first: str = ""
) -> dict[str, list[Known]]:
    """DAG -> its newest runs, newest first: at least `most` that are still there if there are as many.

    `names` are those of the folder of runs; `read` tells what a run's plan says, None if it has none. Of a day that is read,
    the run `first` is read before the others: a plan that names them saves their reading. Runs that went away since a plan
    named them are in the lists too.
    """
    by_date: dict[str, list[str]] = {}
    for name in names:
        if RUN_ID.match(name):
            by_date.setdefault(name[:8], []).append(name)
    there = {name for names_of_day in by_date.values() for name in names_of_day}
    known: dict[str, Known] = {}
    for date in sorted(by_date, reverse=True):
        is_told = False
        for name in sorted(by_date[date], key=lambda name: (name != first, name)):
            if name not in known and (told := read(name)) is not None:
                known[name] = told[0]
                known |= _named(told[1])
                is_told |= _is_enough(told[1], there, most)
        if is_told or all(len(runs) >= max(most, MOST_KEPT) for runs in _by_dag(known).values()):
            break
    return _by_dag(known)


def to_keep(known: Mapping[str, Sequence[Known]]) -> dict[str, list[list[str]]]:
    """What a new plan says of the runs before it: all of a DAG's if they are fewer than MOST_KEPT."""
    return {dag: [[run.run_id, run.created_at] for run in runs[:MOST_KEPT]] for dag, runs in known.items()}


def _named(earlier: Earlier | None) -> dict[str, Known]:
    return {
        run_id: Known(run_id, dag, created_at)
        for dag, runs in (earlier or {}).items()
        for run_id, created_at in runs
    }


def _is_enough(earlier: Earlier | None, there: set[str], most: int) -> bool:
    """Whether a plan names all runs before it, or as many as are wanted."""
    if earlier is None:
        return False
    return all(
        len(runs) < MOST_KEPT or sum(run_id in there for run_id, _ in runs) >= most
        for runs in earlier.values()
    )


def _by_dag(known: Mapping[str, Known]) -> dict[str, list[Known]]:
    newest_first = sorted(known.values(), key=lambda run: run.place, reverse=True)
    return {dag: [run for run in newest_first if run.dag == dag] for dag in DAGS}
