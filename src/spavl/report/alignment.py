"""The page's sections about the aligned model: training curves, before and after. Each is None where there is no record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spavl.artifacts.record import Record
from spavl.artifacts.store import Store
from spavl.report import plots, words
from spavl.report.reading import RunState, StageState, columns_of, read_columns

SCORE_COLUMNS = (
    "benchmark",
    "decoding",
    "model",
    "slice",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "gate_low",
    "gate_high",
    "judge",
    "judge_revision",
)
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
PANELS = {  # title -> (metric, label, colour, is validation)
    "Loss": (
        ("loss", "training", plots.ALIGNED_COLOUR, False),
        ("eval_loss", "validation", plots.BASE_COLOUR, True),
    ),
    "Reward margin (chosen minus rejected)": (
        ("rewards/margins", "training", plots.ALIGNED_COLOUR, False),
        ("eval_rewards/margins", "validation", plots.BASE_COLOUR, True),
    ),
    "Accuracy (chosen above rejected)": (
        ("rewards/accuracies", "training", plots.ALIGNED_COLOUR, False),
        ("eval_rewards/accuracies", "validation", plots.BASE_COLOUR, True),
    ),
    "Log-probability of an answer (sum over tokens, nats)": (
        ("logps/chosen", "chosen", plots.BENIGN_COLOUR, False),
        ("logps/rejected", "rejected", plots.HARM_COLOUR, False),
    ),
    "Score of sampled answers (reward, less cost and penalty)": (
        ("score", "PPO", plots.ALIGNED_COLOUR, False),
    ),
    "KL to the base (nats per token)": (("kl", "PPO", plots.ALIGNED_COLOUR, False),),
    "Entropy of the policy (nats per token)": (("entropy", "PPO", plots.ALIGNED_COLOUR, False),),
}

Cell = dict[str, Mapping[str, Any]]  # model (base, aligned, change) -> its score


def training(store: Store, run: RunState, stage: str = "training") -> dict[str, Any] | None:
    """Curves of a training's metrics (`training` or `reward`), its settings and counts."""
    record = run.record(stage)
    if record is None:
        return None
    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in read_columns(store, record, ["step", "name", "value"]):
        series[row["name"]].append((row["step"], row["value"]))
    panels = {title: _curves(lines, series) for title, lines in PANELS.items()}
    panels = {title: found for title, found in panels.items() if found}
    last_step = max((step for points in series.values() for step, _ in points), default=0)
    return {
        "plot": plots.curves(panels, f"Training curves over {last_step} steps: {', '.join(panels)}")
        if panels
        else None,
        "last_step": words.number(last_step),
        "settings": _settings(record),
        "counts": [(words.count_name(key), words.number(value)) for key, value in record.counts.items()],
    }


def _curves(
    lines: Iterable[tuple[str, str, str, bool]], series: Mapping[str, list[tuple[int, float]]]
) -> list[plots.Curve]:
    curves = []
    for metric, label, colour, is_dashed in lines:
        if points := sorted(series.get(metric, ())):
            steps, values = zip(*points, strict=True)
            curves.append(plots.Curve(label, steps, values, colour, is_dashed))
    return curves


def _settings(record: Record) -> list[tuple[str, str]]:
    of_method = {"dpo": ("loss", "beta", "sft_weight", "global_batch_size")}
    shown = ("method", "learning_rate", "num_epochs", *of_method.get(record.config.get("method"), ()), "seed")
    settings = [(words.count_name(key), str(record.config[key])) for key in shown if key in record.config]
    ppo = record.config.get("ppo", {}) if record.config.get("method") == "ppo" else {}
    settings += [
        (words.count_name(key), str(ppo[key])) for key in ("kl_coef", "clip", "minibatch_size") if key in ppo
    ]
    lora = record.config.get("lora")
    weights = (
        f"LoRA, rank {lora['r']}, alpha {lora['alpha']}" if lora else "projector and language model in full"
    )
    return [("trained:", weights), *settings]


def scores_of(store: Store, stage: StageState | None) -> list[dict[str, Any]]:
    """The scores of an evaluation: of its record, or those that a failed gate kept as evidence."""
    if stage is None or stage.word not in ("done", "failed", "inconclusive"):
        return []
    if stage.record:
        return read_columns(store, stage.record, SCORE_COLUMNS)
    path = f"runs/{stage.run_id}/{stage.name}/evidence/table.parquet"
    return columns_of(store.read(path), SCORE_COLUMNS) if store.exists(path) else []


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


def key_figures(scores: list[dict[str, Any]]) -> list[dict[str, str]]:
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
    return figures


def _key_figure(metric: str, benchmark: str, cell: Cell) -> dict[str, str]:
    aligned = cell["aligned"]
    return {
        "label": f"{words.METRICS[metric][0]}, {words.BENCHMARKS[benchmark]}",
        "before": words.percent(cell["base"]["value"]),
        "value": words.percent(aligned["value"]),
        "note": f"95 % interval {words.interval(aligned['low'], aligned['high'])}; n = {words.number(aligned['n'])}",
    }


def _of_decoding(decoding: str, cells: Mapping[tuple[str, str, str, str], Cell]) -> dict[str, Any]:
    of_all = {line: cells.get((decoding, "all", *line), {}) for line in (*LINES, *UNPARSABLE)}
    drawn = [_contrast(line, of_all[line]) for line in LINES if of_all[line]]
    title = words.DECODINGS.get(decoding, decoding)
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
    label = f"{words.METRICS[metric][0]}\n({words.BENCHMARKS[benchmark]})"
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
    name, is_higher_better = words.METRICS[metric]
    return {
        "metric": name,
        "benchmark": words.BENCHMARKS[benchmark],
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
