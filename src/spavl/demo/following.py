"""Turns what Airflow and the store say about a run into one line per stage, and shows them while the run goes on."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

MARKS = {
    "waiting": "·",
    "running": "▶",
    "retrying": "↻",
    "done": "✓",
    "skipped": "–",
    "failed": "✗",
    "not reached": "·",
}
COLOURS = {
    "running": "cyan",
    "retrying": "yellow",
    "done": "green",
    "failed": "red",
    "skipped": "dim",
    "waiting": "dim",
    "not reached": "dim",
}
ACTIVE = {"queued", "scheduled", "running", "restarting", "deferred", "awaiting_input"}


@dataclass(frozen=True)
class StageLine:
    """One stage of a run as the terminal shows it."""

    stage: str
    state: str  # a key of MARKS
    words: str = ""  # counts when done, how far when running
    seconds: float | None = None

    def text(self) -> str:
        time_taken = "" if self.seconds is None else f"{self.seconds:5.0f} s"
        return f"{MARKS[self.state]} {self.stage:<12} {self.state:<11} {time_taken:>8}  {self.words}".rstrip()


def stage_state(stage: str, task_instances: Sequence[Mapping[str, Any]]) -> str:
    """The state of a stage's task group, from the states of its tasks."""
    tasks = {task["task_id"]: [] for task in task_instances if task["task_id"].startswith(f"{stage}.")}
    for task in task_instances:
        if task["task_id"] in tasks:
            tasks[task["task_id"]].append(task["state"])
    states = {state for found in tasks.values() for state in found}
    sealed = tasks.get(f"{stage}.seal", [None])[0]
    if "failed" in states:
        return "failed"
    if "up_for_retry" in states:
        return "retrying"
    if sealed == "success":
        return "done"
    if sealed in ("skipped", "upstream_failed"):
        return "skipped" if sealed == "skipped" else "not reached"
    return "running" if states & (ACTIVE | {"success"}) else "waiting"


def stage_seconds(
    stage: str, task_instances: Sequence[Mapping[str, Any]], now: datetime.datetime
) -> float | None:
    """Seconds from the start of a stage's first task to the end of its last, or to now; None before the start."""
    mine = [task for task in task_instances if task["task_id"].startswith(f"{stage}.") and task["start_date"]]
    if not mine:
        return None
    ends = [_time(task["end_date"]) if task["end_date"] else now for task in mine]
    return (max(ends) - min(_time(task["start_date"]) for task in mine)).total_seconds()


def count_words(counts: Mapping[str, int]) -> str:
    """`1,234 rows: 234 new, 1,000 reused`."""
    words = f"{counts.get('rows', 0):,} rows"
    if "computed" in counts and counts["computed"] + counts.get("reused", 0):
        words += f": {counts['computed']:,} new, {counts.get('reused', 0):,} reused"
    return words


REPORT_WIDTH = 140


class Screen:
    """A live table on a terminal, lines at each change elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or _console()
        self._live: Live | None = None
        self._shown: dict[str, str] = {}
        self._said_at = 0.0

    def say(self, words: str, style: str = "") -> None:
        self.console.print(words, style=style, markup=False, soft_wrap=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, `show` draws in place; what it showed last stays."""
        self._shown = {}
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, refresh_per_second=4) as self._live:
            yield
        self._live = None

    def show(self, lines: Sequence[StageLine]) -> None:
        if self._live:
            self._live.update(_table(lines))
            return
        for line in lines:
            if line.state != self._shown.get(line.stage, "waiting"):
                self._shown[line.stage] = line.state
                self.say(f"  {line.text()}")

    def progress(self, what: str, done: int, total: int, note: str = "") -> None:
        """How far something in this process is: a line in place on a terminal, one line every 10 s elsewhere."""
        words = f"  {what}: {done / max(total, 1):4.0%} {note}".rstrip()
        if self.console.is_terminal:
            self.console.print(
                f"{words:<70}", end="\r" if done < total else "\n", markup=False, highlight=False
            )
        elif done >= total or time.monotonic() - self._said_at > 10:
            self._said_at = time.monotonic()
            self.say(words)


def _table(lines: Sequence[StageLine]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1))
    for line in lines:
        seconds = "" if line.seconds is None else f"{line.seconds:.0f} s"
        table.add_row(
            MARKS[line.state], line.stage, line.state, seconds, line.words, style=COLOURS[line.state]
        )
    return table


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _console() -> Console:
    """A pipe or a log has no width of its own: five columns of figures need this one, where 80 characters would cut them."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=REPORT_WIDTH)
