"""The columns that a suite may use of a training history, whatever was trained: training and reward have the same.

A history is small (some rows a step), so they are made of a frame and not in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NUM_LAST = 5  # logged values that "final" is the mean of: one batch's margin is noise
COLUMNS = {
    "is_finite": "the value is neither NaN nor infinite",
    "final_loss": f"mean of the last {NUM_LAST} logged losses; the same in every row",
    "final_reward_margin": f"mean of the last {NUM_LAST} logged rewards/margins: implicit reward of chosen minus rejected",
    "final_reward_accuracy": f"mean of the last {NUM_LAST} logged rewards/accuracies: share of pairs with a positive margin",
    "num_steps": "the last step; the same in every row",
    "num_metrics_missing": "how many of loss, rewards/margins, rewards/accuracies (PPO: loss, kl) were never logged",
    "score_gain": f"mean score of the last {NUM_LAST} logged answers minus that of the first {NUM_LAST}; PPO only",
    "eval_reward_accuracy": "share of the validation pairs whose chosen answer has the higher reward; missing without any",
}


def derive(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    """COLUMNS of a table of TrainingMetric."""
    import numpy as np

    history = raw.sort_values("step", kind="stable")

    def values(name: str) -> pd.Series:
        return history.loc[history["name"] == name, "value"]

    def final(name: str) -> float:
        return values(name).tail(NUM_LAST).mean()

    names = set(raw["name"])
    needed = {"loss", "kl"} if "score" in names else {"loss", "rewards/margins", "rewards/accuracies"}
    return {
        "num_metrics_missing": float(len(needed - names)),
        "score_gain": final("score") - values("score").head(NUM_LAST).mean(),
        "eval_reward_accuracy": final("eval_rewards/accuracies"),
        "is_finite": np.isfinite(raw["value"]).astype("float64"),
        "final_loss": final("loss"),
        "final_reward_margin": final("rewards/margins"),
        "final_reward_accuracy": final("rewards/accuracies"),
        "num_steps": float(raw["step"].max()),
    }
