"""Shares of a trial's rows for which something holds: what every judge's trial is summed up in. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from spavl.stages.comparisons.rows import ComparisonTrial
from spavl.stages.judgements.rows import JudgeTrial

Trial = TypeVar("Trial", JudgeTrial, ComparisonTrial)
Holds = Callable[[Trial], bool]


def share(trials: Sequence[Trial], holds: Holds[Trial]) -> float | None:
    """0 to 1; None of nothing."""
    return sum(map(holds, trials)) / len(trials) if trials else None


def right_of(trials: Iterable[Trial], column: str, holds: Holds[Trial]) -> dict[str, dict[str, int]]:
    """Value of the column -> for how many trials it holds, of how many."""
    flags: dict[str, list[bool]] = defaultdict(list)
    for trial in trials:
        flags[getattr(trial, column)].append(holds(trial))
    return {name: {"right": sum(right), "asked": len(right)} for name, right in sorted(flags.items())}


def worst(trials: Iterable[Trial], column: str, holds: Holds[Trial]) -> float | None:
    """The smallest share over the column's values; None of nothing."""
    found = right_of(trials, column, holds).values()
    return min((each["right"] / each["asked"] for each in found), default=None)


def with_interval(name: str, trials: Sequence[Trial], holds: Holds[Trial]) -> Mapping[str, float | None]:
    """The share, and the ends of its 95 % interval by image; all None of nothing."""
    from spavl.statistics import rate_interval

    if not trials:
        return dict.fromkeys((name, f"{name}__low", f"{name}__high"))
    found = rate_interval([holds(trial) for trial in trials], [trial.image_id for trial in trials])
    return {name: found.value, f"{name}__low": found.low, f"{name}__high": found.high}
