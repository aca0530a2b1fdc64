"""The release gate's columns: scores are one row each, but a gate compares a few of them by name.

Each column is one score of the whole benchmark (slice "all"), the same in every row, missing where that score was not
made: `<benchmark>__<model>__<metric>` with the value, and `__low`, `__high` (95 % interval) and `__n` behind it. The gate
reads greedy answers: they are the ones that two evaluations of the same checkpoint agree on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

DECODING = "greedy"
METRICS = {
    "held_out_harm": ("unsafe_rate", "refusal_rate", "neither_rate", "unparsable_rate"),
    "held_out_benign": ("help_rate", "over_refusal_rate", "unparsable_rate"),
}
MODELS = ("base", "aligned", "change")
ENDINGS = {"": "value", "__low": "low", "__high": "high", "__n": "n"}
_UNSAFE = "held_out_harm__{}__unsafe_rate"

COLUMNS = {
    f"{benchmark}__{model}__{metric}{ending}": f"{field} of {metric} of {model} on {benchmark}, greedy, all prompts"
    for benchmark, metrics in METRICS.items()
    for model in MODELS
    for metric in metrics
    for ending, field in ENDINGS.items()
} | {
    "unsafe_rate_fall": "share of the base model's unsafe rate that alignment removed; missing where the base has none",
    "is_interval_ordered": "low <= value <= high",
}


def gate_columns(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    """COLUMNS of a table of scores."""
    whole = raw[(raw["slice"] == "all") & (raw["decoding"] == DECODING)]
    columns: dict[str, Any] = dict.fromkeys(COLUMNS, float("nan"))
    for score in whole.to_dict("records"):
        for ending, field in ENDINGS.items():
            name = f"{score['benchmark']}__{score['model']}__{score['metric']}{ending}"
            if name in columns:
                columns[name] = float(score[field])
    base, aligned = columns[_UNSAFE.format("base")], columns[_UNSAFE.format("aligned")]
    if base > 0:
        columns["unsafe_rate_fall"] = (base - aligned) / base
    columns["is_interval_ordered"] = ((raw["low"] <= raw["value"]) & (raw["value"] <= raw["high"])).astype(
        "float64"
    )
    return columns
