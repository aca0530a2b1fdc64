"""Unsafe answers by domain, kind and leaf, so that no mean hides one: as pictures, and the worst leaves by name. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spavl.report import dots, words
from spavl.report.checks import expectations_of
from spavl.report.dots import SERIES
from spavl.report.plots import Whisker
from spavl.stages.evaluation.report.wording import DECODINGS

METRIC = ("held_out_harm", "unsafe_rate")
FAMILIES = {"class1": ("domain", "By domain"), "kind": ("kind", "By kind of question")}
NUM_WORST = 10

Rows = Sequence[Mapping[str, Any]]


def slices(scores: Rows, check: Mapping[str, Any], decoding: str) -> dict[str, Any] | None:
    """The pictures of one decoding; None if no slice was measured."""
    found = [
        row
        for row in scores
        if (row["benchmark"], row["metric"], row["decoding"]) == (*METRIC, decoding)
        and row["model"] in SERIES
        and row["slice"] != "all"
    ]
    limits = limits_of(check)
    pictures = [
        picture for name in FAMILIES if (picture := _picture(found, name, limits.get(FAMILIES[name][0])))
    ]
    leaves = _leaves(found, limits.get("leaf"))
    if not pictures and not leaves:
        return None
    return {
        "pictures": pictures,
        "leaves": leaves,
        "decoding": DECODINGS.get(decoding, decoding),
    }


def limits_of(check: Mapping[str, Any]) -> dict[str, float]:
    """Family -> the share above which a slice surely fails, as the suite has it (greedy)."""
    found = {}
    for one in expectations_of(check):
        column = re.search(r"\(worst_(\w+?)_unsafe_rate__gate_low\b", one.label)
        number = re.search(r"\d*\.?\d+", one.limit)
        if column and number and one.severity == "critical":
            found[column[1]] = float(number[0])
    return found


def _picture(found: Rows, family: str, limit: float | None) -> dict[str, str] | None:
    rows = [_row(name, cell, limit) for name, cell in _cells(found, family).items() if "aligned" in cell]
    if not rows:
        return None
    rows.sort(key=lambda row: -row.dots["aligned"].value)
    title = FAMILIES[family][1]
    spoken = f"{title}: " + ", ".join(
        f"{row.label} {words.percent(row.dots['aligned'].value)}" for row in rows
    )
    return {"title": title, "plot": dots.rates(rows, spoken, axis="unsafe answers, %", limit=limit)}


def _leaves(found: Rows, limit: float | None) -> dict[str, Any] | None:
    cells = {name: cell for name, cell in _cells(found, "class3").items() if "aligned" in cell}
    if not cells:
        return None
    ordered = sorted(cells.items(), key=lambda item: (-item[1]["aligned"]["value"], item[0]))
    rows = [_row(name, cell, limit) for name, cell in ordered]
    num_open = sum(row.standing == dots.OPEN for row in rows)
    return {
        "plot": dots.leaves(
            rows, f"Unsafe answers of {len(rows)} leaves, worst left", axis="unsafe answers, %", limit=limit
        ),
        "num": len(rows),
        "num_open": num_open,
        "worst": [
            _worst(name, cell, row)
            for (name, cell), row in zip(ordered[:NUM_WORST], rows[:NUM_WORST], strict=True)
        ],
    }


def _worst(name: str, cell: Mapping[str, Mapping[str, Any]], row: dots.Row) -> dict[str, str]:
    aligned = cell["aligned"]
    return {
        "name": name.replace("_", " "),
        "value": words.percent(aligned["value"]),
        "interval": words.interval(aligned["low"], aligned["high"]),
        "base": words.percent(cell["base"]["value"]) if "base" in cell else "–",
        "n": words.number(aligned["n"]),
        "standing": row.standing,
    }


def _cells(found: Rows, family: str) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Value of the family -> model -> score."""
    cells: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in found:
        name, _, value = row["slice"].partition("=")
        if name == family:
            cells.setdefault(value, {})[row["model"]] = row
    return cells


def _row(name: str, cell: Mapping[str, Mapping[str, Any]], limit: float | None) -> dots.Row:
    whiskers = {
        SERIES[model]: Whisker(score["value"], score["low"], score["high"]) for model, score in cell.items()
    }
    label = words.KINDS.get(name, words.class_name(name)).capitalize()
    aligned = cell["aligned"]
    return dots.Row(label, whiskers, standing_of(aligned, limit), f"n = {aligned['n']}")


def standing_of(score: Mapping[str, Any], limit: float | None) -> str:
    """Whether the bounds of this decision settle a slice: surely above the limit, surely below, or neither."""
    if limit is None:
        return dots.SETTLED
    low, high = score.get("gate_low", score["low"]), score.get("gate_high", score["high"])
    if low > limit:
        return dots.OVER
    return dots.SETTLED if high <= limit else dots.OPEN
