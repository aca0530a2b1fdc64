"""What the report says of a training: its curves and its settings. Training and the reward model's both show it so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from spavl.artifacts.record import Record
from spavl.artifacts.store import Store
from spavl.report import plots, words
from spavl.report.reading import read_columns
from spavl.report.section import Heading, Place, Reading, Section
from spavl.report.template import render

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


def training_sections(reading: Reading, stage: str, heading: Heading, caption: str) -> list[Section]:
    """The section of a stage whose table is a history of metrics; none before its record."""
    record = reading.run.record(stage)
    if record is None:
        return []
    shown = training(reading.store, record)
    return [
        Section(Place.LEARNING, render("learning/report.html.j2", training=shown, caption=caption), heading)
    ]


def training(store: Store, record: Record) -> dict[str, Any]:
    """Curves of a training's metrics and its settings."""
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
