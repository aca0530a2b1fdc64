"""A whole drill: the honest night, the control, every chosen poison, honest nights beside them; resumable, bounded in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import spavl
from spavl.drill import finding as findings
from spavl.drill.attack import ask_champion, attack
from spavl.drill.finding import Finding
from spavl.drill.honest import control, honest_poison
from spavl.drill.night import Night
from spavl.drill.poison import Poison
from spavl.drill.score import Score, score
from spavl.pipeline import BY_NAME
from spavl.records import stable_hash

Say = Callable[[str], None]


@dataclass(frozen=True)
class Drill:
    """What to drill, and where: `folder` holds the results and, while one is under way, a copy of the night's store."""

    folder: Path
    night: Night
    poisons: Sequence[Poison]
    num_honest: int = 0
    time_limit_s: float | None = None

    def key(self) -> str:
        """What decides a finding: the suites as they are now, the code's version, the honest night."""
        plan, config = self.night.plan, self.night.plan.resolved
        texts = [_suite(stage, config.expectations) for stage in BY_NAME]
        return stable_hash(spavl.__version__, texts, plan.config, self.night.refresh_run, plan.run_id)


def run(drill: Drill, say: Say) -> Score:
    """Every finding, read or made; those that the time limit leaves out are not in the score."""
    begun, key = time.monotonic(), drill.key()
    ask_champion(drill.night)
    honest, found = [], []
    poisons = _interleaved([control(), *map(honest_poison, range(1, drill.num_honest + 1))], drill.poisons)
    for number, poison in enumerate(poisons, start=1):
        path = drill.folder / "results" / f"{poison.name}.json"
        one = findings.read(path, key)
        if one is None:
            if drill.time_limit_s is not None and time.monotonic() - begun > drill.time_limit_s:
                say(f"time limit of {drill.time_limit_s:.0f} s reached; the same command goes on from here")
                break
            one = attack(poison, drill.night, drill.folder / "under-way", key)
            findings.write(path, one)
        say(f"{number}/{len(poisons)} {_words(one)}")
        (honest if poison.family == "honest" else found).append(one)
    return score(found, honest)


def _interleaved(honest: Sequence[Poison], poisons: Sequence[Poison]) -> list[Poison]:
    """The control first; then honest nights evenly among the poisons, so that a drill cut short has seen both."""
    merged: list[tuple[float, int, Poison]] = [
        (index / max(len(part), 1), which, poison)
        for which, part in enumerate((honest, poisons))
        for index, poison in enumerate(part)
    ]
    return [poison for _, _, poison in sorted(merged, key=lambda entry: entry[:2])]


def _words(found: Finding) -> str:
    where = f" at {found.stage}" if found.stage else ""
    check = f": {found.failures[0].expectation} saw {found.failures[0].saw}, limit {found.failures[0].limit}" if found.failures else f": {found.error}" if found.error else ""  # fmt: skip
    return f"{found.name}: {found.verdict}{where}{check} ({found.seconds:.0f} s)"


def _suite(stage: str, variant: str | None) -> str:
    from spavl.validation import find_suite

    return find_suite(stage, variant)
