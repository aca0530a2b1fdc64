"""Benchmarks beyond the held-out prompts: attacks, over-refusal and capability, base against aligned, with Inspect's logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.artifacts.store import Store
from spavl.report import dots, words
from spavl.report.dots import SERIES
from spavl.report.plots import Whisker
from spavl.report.reading import RunState, rows_of_stage
from spavl.report.section import Heading, Place, Reading, Section
from spavl.report.template import render

COLUMNS = (
    "benchmark",
    "family",
    "task",
    "model",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "judge",
    "log",
)
FAMILIES = {
    "attack": ("Attacks", "unsafe answers, %"),
    "over_refusal": ("Over-refusal", "over-refusals, %"),
    "capability": ("Capability", "right answers, %"),
    "other": ("Others", "%"),
}
HEADLINE = {"attack": "unsafe_rate", "over_refusal": "over_refusal_rate", "capability": "right_rate"}


def sections(reading: Reading) -> list[Section]:
    """One section, if something was measured or if a decision was made without it."""
    found = attacks(reading.store, reading.run)
    if found is None and not reading.run.is_decided:
        return []
    has_benchmarks = "benchmarks" in reading.run.stages
    html = render("stages/benchmarks/report.html.j2", attacks=found, has_benchmarks=has_benchmarks)
    return [Section(Place.DECISION, html, Heading("attacks", "Attacks, over-refusal and capability"))]


def attacks(store: Store, run: RunState) -> dict[str, Any] | None:
    """A picture and a table per family; None if none was measured."""
    stage = run.stages.get("benchmarks")
    if stage is None:
        return None
    rows = rows_of_stage(store, stage, COLUMNS)
    if not rows:
        return None
    families = [_family(name, rows, stage.run_id) for name in FAMILIES]
    return {
        "families": [family for family in families if family],
        # not the store's address: a page says nothing of the machine that made it
        "view": f"inspect view start --log-dir <store>/runs/{stage.run_id}/benchmarks/logs",
    }


def _family(name: str, rows: Sequence[Mapping[str, Any]], run_id: str) -> dict[str, Any] | None:
    of_family = [row for row in rows if row["family"] == name]
    benchmarks = dict.fromkeys(row["benchmark"] for row in of_family)
    lines = [
        _line(benchmark, [row for row in of_family if row["benchmark"] == benchmark], name, run_id)
        for benchmark in benchmarks
    ]
    drawn = [line for line in lines if line["cell"].get("aligned")]
    if not lines:
        return None
    title, axis = FAMILIES[name]
    return {
        "title": title,
        "plot": dots.rates([_row(line) for line in drawn], title, axis=axis) if drawn else "",
        "lines": lines,
    }


def _line(benchmark: str, rows: Sequence[Mapping[str, Any]], family: str, run_id: str) -> dict[str, Any]:
    metric = HEADLINE.get(family) or next((row["metric"] for row in rows), "")
    cell = {row["model"]: row for row in rows if row["metric"] == metric}
    logs = {row["model"]: _from_report(row["log"], run_id) for row in rows if row["model"] in SERIES}
    return {
        "name": benchmark.replace("_", " "),
        "task": rows[0]["task"],
        "judge": rows[0]["judge"],
        "metric": words.count_name(metric),
        "cell": cell,
        "n": words.number(max((row["n"] for row in cell.values()), default=0)),
        "logs": logs,
        **{model: _value(cell.get(model)) for model in SERIES},
        "change": _change(cell.get("change")),
    }


def _from_report(log: str, run_id: str) -> str:
    """The address of a log from where the run's report lies."""
    mine = f"runs/{run_id}/"
    return log.removeprefix(mine) if log.startswith(mine) else f"../../{log}"


def _row(line: Mapping[str, Any]) -> dots.Row:
    whiskers = {
        SERIES[model]: Whisker(row["value"], row["low"], row["high"])
        for model, row in line["cell"].items()
        if model in SERIES
    }
    return dots.Row(line["name"], whiskers, note=f"n = {line['n']}")


def _value(row: Mapping[str, Any] | None) -> dict[str, str]:
    if row is None:
        return {"value": "–", "interval": ""}
    return {"value": words.percent(row["value"]), "interval": words.interval(row["low"], row["high"])}


def _change(row: Mapping[str, Any] | None) -> dict[str, str]:
    if row is None:
        return {"value": "–", "interval": ""}
    return {"value": words.points(row["value"]), "interval": words.point_interval(row["low"], row["high"])}
