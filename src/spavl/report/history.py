"""One line per run for the page over all nights: how it ended, its figures, its cost. Reads; never judges.

What a finished run came to does not change any more, so its line is kept beside it and read again: a page over sixty nights
reads one small file per night, not its records and tables. A run that cannot be read has a line that says so. A store that
does not answer raises TryAgain: it is never taken for a run that is not there.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from spavl.artifacts import channel
from spavl.artifacts.channel import Entry
from spavl.artifacts.store import Store
from spavl.errors import UserError
from spavl.report.ending import FINAL, ending_of
from spavl.report.reading import GATE, StageState, read_json, read_stage, rows_of_stage, stages_planned

FORMAT = 1  # of a kept line; another number is made anew
NUM_NIGHTS = 60
RUNS_A_NIGHT = 2  # a refresh and an alignment
NUM_READERS = 8  # a remote store answers in tens of milliseconds: several questions at once
FIGURES = {  # name -> (benchmark, decoding, metric)
    "unsafe": ("held_out_harm", "greedy", "unsafe_rate"),
    "unsafe_in_any_sample": ("held_out_harm", "sampled", "any_unsafe_rate"),
    "help": ("held_out_benign", "greedy", "help_rate"),
    "over_refusal": ("held_out_benign", "greedy", "over_refusal_rate"),
    "grounding": ("grounding", "greedy", "grounding_score"),
}
SCORE_COLUMNS = ("benchmark", "decoding", "model", "slice", "metric", "value", "low", "high", "n")
# what a file that is damaged, half removed or of another version raises: one run's matter, unlike a store that is away
DAMAGED = (UserError, ValueError, LookupError, TypeError, AttributeError, FileNotFoundError)
MODELS = ("base", "champion", "aligned")


@dataclass(frozen=True)
class Figure:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class RunLine:
    """What one run came to."""

    run_id: str
    dag: str
    created_at: str  # UTC, ISO 8601, of its plan
    ending: str  # a key of ending.WORDS
    reason: str = ""  # the first one; empty if it ended well
    stage: str = ""  # the stage that it stopped at
    profile: str = ""
    dataset_run: str = ""  # of an alignment: the run whose dataset version it read
    approved_by: str = ""
    figures: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)  # FIGURES -> MODELS -> Figure
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # stage -> its counts
    measures: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)  # stage -> its measures
    seconds: Mapping[str, float] = field(
        default_factory=dict
    )  # stage -> from the record before it to its own


@dataclass(frozen=True)
class History:
    """What the page shows."""

    lines: Sequence[RunLine]  # oldest first
    channels: Mapping[str, Sequence[Entry]]  # all entries, oldest first
    num_left_out: int  # older runs that are in the store and not here


def read_history(store: Store, num_nights: int = NUM_NIGHTS) -> History:
    """The newest nights and every channel entry; raises TryAgain if the store does not answer."""
    chosen, num_left_out = _newest(store.names("runs"), num_nights * RUNS_A_NIGHT)
    with ThreadPoolExecutor(NUM_READERS) as readers:
        lines = list(readers.map(lambda run_id: read_line(store, run_id), chosen))
    # a run without a readable plan has the date of its id
    lines.sort(key=lambda line: (line.created_at or _date_of(line.run_id), line.run_id))
    return History(
        lines, {name: channel.history(store, name) for name in store.names("channels")}, num_left_out
    )


def read_line(store: Store, run_id: str) -> RunLine:
    """The line of one run: the kept one, or a new one, which is kept if the run is finished."""
    if kept := _kept(store, run_id):
        return kept
    try:
        line = make_line(store, run_id)
    except DAMAGED as error:
        return RunLine(run_id, "", "", "unreadable", f"{type(error).__name__}: {error}"[:300])
    if line.ending in FINAL:
        content = {"format": FORMAT, "line": dataclasses.asdict(line)}
        store.write(_path(run_id), json.dumps(content, indent=1, sort_keys=True).encode())
    return line


def make_line(store: Store, run_id: str) -> RunLine:
    """The line of one run, from its plan, its records and the scores of its evaluation."""
    plan = read_json(store, f"runs/{run_id}/plan.json")
    if plan is None:
        return RunLine(run_id, "", "", "pruned", "Its plan is not in the store.")
    stages = [read_stage(store, run_id, name) for name in stages_planned(plan)]
    approval = read_json(store, f"runs/{run_id}/approval.json")
    ending = ending_of(plan, stages, approval)
    gate = next((stage for stage in stages if stage.name == GATE), None)
    return RunLine(
        run_id=run_id,
        dag=str(plan.get("dag", "")),
        created_at=str(plan.get("created_at", "")),
        ending=ending.kind,
        reason=ending.reason,
        stage=ending.stage,
        profile=str(plan.get("profile", "")),
        dataset_run=((plan.get("inputs") or {}).get("dataset") or {}).get("run_id", ""),
        approved_by=str((approval or {}).get("by", "")),
        figures=figures_of(rows_of_stage(store, gate, SCORE_COLUMNS)),
        counts={stage.name: dict(stage.counts) for stage in stages if stage.counts},
        measures={stage.name: dict(stage.measures) for stage in stages if stage.measures},
        seconds=seconds_of(str(plan.get("created_at", "")), stages),
    )


def figures_of(scores: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Figure]]:
    """The headline figures of base, champion and aligned over all prompts; what was not measured is not there."""
    found: dict[str, dict[str, Figure]] = {}
    name_of = {key: name for name, key in FIGURES.items()}
    for row in scores:
        name = name_of.get((row["benchmark"], row["decoding"], row["metric"]))
        if name and row["slice"] == "all" and row["model"] in MODELS:
            figure = Figure(row["value"], row["low"], row["high"], row["n"])
            found.setdefault(name, {})[row["model"]] = figure
    return found


def seconds_of(planned_at: str, stages: Sequence[StageState]) -> dict[str, float]:
    """Seconds from the record before a stage (the plan, for the first) to its own: its work and what it waited for."""
    seconds, before = {}, _time(planned_at)
    for stage in stages:
        if stage.record is None:
            break
        now = _time(stage.record.created_at)
        if before and now:
            seconds[stage.name] = max(0.0, (now - before).total_seconds())
        before = now
    return seconds


def cost_of(line: RunLine) -> tuple[int, int]:
    """Rows that the run computed, and rows that it had from earlier nights."""
    computed = sum(counts.get("computed", 0) for counts in line.counts.values())
    return computed, sum(counts.get("reused", 0) for counts in line.counts.values())


def _newest(run_ids: Sequence[str], limit: int) -> tuple[list[str], int]:
    """The newest runs by the dates of their ids, days whole, so that no order within a day is guessed."""
    newest_first = sorted(run_ids, reverse=True)
    if len(newest_first) <= limit:
        return newest_first, 0
    oldest_day = newest_first[limit - 1][:8]
    chosen = [run_id for run_id in newest_first if run_id[:8] >= oldest_day]
    return chosen, len(newest_first) - len(chosen)


def _kept(store: Store, run_id: str) -> RunLine | None:
    """The kept line; None if there is none that this version can read."""
    try:
        kept = read_json(store, _path(run_id))
        return _from_json(kept["line"]) if kept and kept.get("format") == FORMAT else None
    except DAMAGED:
        return None  # it is made anew from the records


def _from_json(values: Mapping[str, Any]) -> RunLine:
    figures = {
        name: {model: Figure(**figure) for model, figure in by_model.items()}
        for name, by_model in values["figures"].items()
    }
    return RunLine(**{**values, "figures": figures})


def _path(run_id: str) -> str:
    return f"runs/{run_id}/history.json"


def _date_of(run_id: str) -> str:
    return f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}"


def _time(text: str) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text) if text else None
