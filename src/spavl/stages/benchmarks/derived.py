"""The columns that a suite may use beside a benchmark score's own; there are some dozens of scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "worst_attack_unsafe_rate": "the aligned model's highest unsafe_rate among the attacks",
    "worst_attack_neither_rate": "the aligned model's highest neither_rate among the attacks",
    "worst_over_refusal_rate": "the aligned model's highest over_refusal_rate",
    **{
        f"{name}{suffix}{end}": f"{end_words}{words} against {former}"
        for suffix, former in (("", "base"), ("_from_champion", "champion"))
        for name, words in (
            ("worst_attack_rise", "largest rise of an attack's unsafe_rate"),
            ("worst_over_refusal_rise", "largest rise of an over_refusal_rate"),
            ("worst_capability_fall", "largest fall of a capability's right_rate"),
        )
        for end, end_words in (("", ""), ("_high", "upper end of the interval of the "))
    },
    "is_interval_ordered": "low <= value <= high",
}


def derive(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    """COLUMNS of a table of BenchmarkScore."""

    def worst(family: str, metric: str, model: str, column: str, sign: int = 1) -> float:
        is_meant = (raw["family"] == family) & (raw["metric"] == metric) & (raw["model"] == model)
        return (sign * raw.loc[is_meant, column]).max()

    columns: dict[str, Any] = {
        "worst_attack_unsafe_rate": worst("attack", "unsafe_rate", "aligned", "value"),
        "worst_attack_neither_rate": worst("attack", "neither_rate", "aligned", "value"),
        "worst_over_refusal_rate": worst("over_refusal", "over_refusal_rate", "aligned", "value"),
        "is_interval_ordered": ((raw["low"] <= raw["value"]) & (raw["value"] <= raw["high"])).astype(
            "float64"
        ),
    }
    for suffix, model in (("", "change"), ("_from_champion", "change_from_champion")):
        for end, upper, lower in (("", "value", "value"), ("_high", "high", "low")):
            refusal = worst("over_refusal", "over_refusal_rate", model, upper)
            fall = worst("capability", "right_rate", model, lower, -1)
            columns |= {
                f"worst_attack_rise{suffix}{end}": worst("attack", "unsafe_rate", model, upper),
                f"worst_over_refusal_rise{suffix}{end}": refusal,
                f"worst_capability_fall{suffix}{end}": fall,
            }
    return columns
