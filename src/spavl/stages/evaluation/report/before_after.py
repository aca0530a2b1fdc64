"""Before and after: base, candidate and earlier releases on the same held-out prompts. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spavl.report import plots, words
from spavl.report.section import Tile
from spavl.stages.evaluation.report.wording import BENCHMARKS, DECODINGS, METRICS

LINES = (  # what the before/after plot shows, in this order
    ("held_out_harm", "unsafe_rate"),
    ("held_out_harm", "any_unsafe_rate"),
    ("held_out_harm", "neither_rate"),
    ("held_out_harm", "refusal_rate"),
    ("held_out_benign", "help_rate"),
    ("held_out_benign", "over_refusal_rate"),
)
UNSAFE, HELP, OVER_REFUSAL = LINES[0], LINES[4], LINES[5]
MODELS = {  # columns of the table -> words; a column that no score has is left out
    "base": "Base",
    "champion": "Released now",
    "best_harm": "Safest earlier",
    "best_help": "Most helpful earlier",
    "aligned": "Candidate",
}
CHANGES = {
    "change": "Against base",
    "change_champion": "Against released now",
    "change_best_harm": "Against safest",
    "change_best_help": "Against most helpful",
}
UNPARSABLE = (("held_out_harm", "unparsable_rate"), ("held_out_benign", "unparsable_rate"))
Cell = dict[str, Mapping[str, Any]]  # model (base, aligned, change) -> its score


def before_after(scores: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Base against aligned: a plot and a table per decoding, and the unsafe rate per class and kind."""
    if not scores:
        return None
    cells: dict[tuple[str, str, str, str], Cell] = defaultdict(dict)
    for row in scores:
        cells[row["decoding"], row["slice"], row["benchmark"], row["metric"]][row["model"]] = row
    decodings = sorted({row["decoding"] for row in scores})
    return {
        "decodings": [_of_decoding(decoding, cells) for decoding in decodings],
        "judges": sorted({(row["judge"], row["judge_revision"]) for row in scores}),
    }


def key_figures(scores: list[dict[str, Any]]) -> tuple[Tile, ...]:
    """Unsafe, help and over-refusal rate of base and aligned, greedy where there is greedy; empty without scores."""
    decoding = min((row["decoding"] for row in scores), default="")
    whole = [row for row in scores if row["slice"] == "all" and row["decoding"] == decoding]
    figures = []
    for benchmark, metric in (UNSAFE, HELP, OVER_REFUSAL):
        cell = {
            row["model"]: row for row in whole if (row["benchmark"], row["metric"]) == (benchmark, metric)
        }
        if {"base", "aligned"} <= cell.keys():
            figures.append(_key_figure(metric, benchmark, cell))
    return tuple(figures)


def _key_figure(metric: str, benchmark: str, cell: Cell) -> Tile:
    aligned = cell["aligned"]
    return Tile(
        label=f"{METRICS[metric][0]}, {BENCHMARKS[benchmark]}",
        before=words.percent(cell["base"]["value"]),
        value=words.percent(aligned["value"]),
        note=f"95 % interval {words.interval(aligned['low'], aligned['high'])}; n = {words.number(aligned['n'])}",
    )


def _of_decoding(decoding: str, cells: Mapping[tuple[str, str, str, str], Cell]) -> dict[str, Any]:
    of_all = {line: cells.get((decoding, "all", *line), {}) for line in (*LINES, *UNPARSABLE)}
    drawn = [_contrast(line, of_all[line]) for line in LINES if of_all[line]]
    title = DECODINGS.get(decoding, decoding)
    models = _models_in(of_all.values())
    return {
        "title": title,
        "plot": plots.contrasts(drawn, f"Base against aligned, {title}; the numbers are in the table below"),
        "columns": [(MODELS | CHANGES)[model] for model in models],
        "rows": [_table_row(line, cell, models) for line, cell in of_all.items() if cell],
    }


def _contrast(line: tuple[str, str], cell: Cell) -> plots.Contrast:
    benchmark, metric = line
    whiskers = {
        model: plots.Whisker(score["value"], score["low"], score["high"]) for model, score in cell.items()
    }
    label = f"{METRICS[metric][0]}\n({BENCHMARKS[benchmark]})"
    return plots.Contrast(
        label,
        whiskers.get("base"),
        whiskers.get("aligned"),
        whiskers.get("change"),
        whiskers.get("champion"),
        whiskers.get("change_champion"),
    )


def _table_row(line: tuple[str, str], cell: Cell, models: Sequence[str]) -> dict[str, Any]:
    benchmark, metric = line
    name, is_higher_better = METRICS[metric]
    return {
        "metric": name,
        "benchmark": BENCHMARKS[benchmark],
        "better": "higher" if is_higher_better else "lower",
        "cells": [_cell(cell.get(model), is_change=model in CHANGES) for model in models],
    }


def _cell(score: Mapping[str, Any] | None, *, is_change: bool) -> dict[str, str]:
    if score is None:
        return {"value": "–", "interval": "", "n": ""}
    value = words.points(score["value"]) if is_change else words.percent(score["value"])
    interval = words.point_interval if is_change else words.interval
    return {"value": value, "interval": interval(score["low"], score["high"]), "n": f"n = {words.number(score['n'])}"}  # fmt: skip


def _models_in(cells: Iterable[Cell]) -> list[str]:
    found = {model for cell in cells for model in cell}
    return [model for model in (*MODELS, *CHANGES) if model in found]
