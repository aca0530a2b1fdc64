"""Columns that a suite may use and a table does not have: what one row, read with the others or with the stage's counts, is.

All are numbers; a flag is 1.0 or 0.0. A value is missing where the question makes no sense (does a failed asking have a
winner?), so that a mean is over the rows it makes sense for. `DERIVATIONS` is the list; each entry says its columns in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from spavl import records
from spavl.validation import gate

if TYPE_CHECKING:
    import pandas as pd

NUM_LAST = 5  # logged values that "final" is the mean of: one batch's margin is noise
RELEASE_FILES = ("config.json", "README.md", "manifest.json", "tokenizer.json")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")


class Derivation(NamedTuple):
    """Columns, each with what it says, and the function (raw table with flags as numbers, counts) -> columns."""

    columns: Mapping[str, str]
    derive: Callable[[pd.DataFrame, Mapping[str, int]], Mapping[str, Any]]


def derivations_of(row_type: type) -> list[Derivation]:
    """What is derived for a row type: the outcome flags where it has an outcome, then its own."""
    shared = [OUTCOME] if "outcome" in row_type.__dataclass_fields__ else []
    return shared + ([DERIVATIONS[row_type]] if row_type in DERIVATIONS else [])


def _flag(column: Any) -> Any:
    return column.astype("float64")


def _outcome(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    return {f"is_{outcome}": _flag(raw["outcome"] == outcome) for outcome in records.OUTCOMES}


def _image(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    from spavl.taxonomy import load_taxonomy

    taxonomy = load_taxonomy()
    known = {(leaf.class1, leaf.class2, leaf.id) for leaf in taxonomy.leaves} | {(records.BENIGN,) * 3}
    classes = zip(raw["class1"], raw["class2"], raw["class3"], strict=True)
    duplicates = counts.get("quarantined.duplicate", 0)  # counted by reason, and only where there are any
    num_read = len(raw) + counts["quarantined"]
    return {
        "is_benign": _flag(raw["class1"] == records.BENIGN),
        "is_class_known": [float(path in known) for path in classes],
        "quarantined_share": (counts["quarantined"] - duplicates) / num_read,
        "duplicate_share": duplicates / num_read,
    }


def _question(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    return {"is_benign": _flag(raw["class1"] == records.BENIGN)}


def _response(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    by_model = raw.assign(is_ok=_flag(raw["outcome"] == "ok")).groupby("model")
    rows_of_model = by_model["id"].transform("size")
    return {
        "ok_share_of_model": by_model["is_ok"].transform("mean"),
        "answered_share_of_model": rows_of_model / rows_of_model.max(),
    }


def _judgement(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    seen = raw[raw["mode"] == "image"].drop_duplicates("response_id").set_index("response_id")["is_unsafe"]
    label_with_image = raw["response_id"].map(seen).where(raw["mode"] == "text")
    agrees = _flag(raw["is_unsafe"] == label_with_image)
    return {"text_label_agrees": agrees.where(raw["is_unsafe"].notna() & label_with_image.notna())}


def _comparison(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    is_ok = raw["outcome"] == "ok"
    askings = raw.assign(winner=raw["winner"].where(is_ok)).groupby(["response_a", "response_b", "axis"])[
        "winner"
    ]
    both_orders = askings.transform("count") == len(records.ORDERS)
    is_decided = is_ok & raw["winner"].isin(["a", "b"])
    names_a_winner = is_decided.groupby([raw["response_a"], raw["response_b"], raw["axis"]]).transform("any")
    orders_agree = _flag(askings.transform("nunique") == 1).where(both_orders)
    return {
        "groups_differ": _flag(raw["group_a"] != raw["group_b"]),
        "responses_differ": _flag(raw["response_a"] != raw["response_b"]),
        "orders_agree": orders_agree,
        "orders_agree_decided": orders_agree.where(names_a_winner),
        "is_tie": _flag(raw["winner"] == "tie").where(is_ok),
        "first_shown_wins": _flag(raw["winner"] == raw["order"].str[0]).where(is_decided),
    }


def _preference(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "chosen_differs_from_rejected": _flag(raw["chosen"].str.strip() != raw["rejected"].str.strip()),
        "groups_differ": _flag(raw["chosen_group"] != raw["rejected_group"]),
        "is_chosen_longer": _flag(raw["chosen"].str.len() > raw["rejected"].str.len()),
        "num_comparisons": _flag(raw["comparisons"].str.len()),
        "is_chosen_unsafe_over_safe": _chosen_unsafe_over_safe(raw),
    }


def _chosen_unsafe_over_safe(raw: pd.DataFrame) -> Any:
    labels = raw[["chosen_is_unsafe", "rejected_is_unsafe"]]
    is_against = (labels["chosen_is_unsafe"] == 1) & (labels["rejected_is_unsafe"] == 0)
    return _flag(is_against).where(labels.notna().all(axis=1) & (raw["is_benign"] != 1))


def _dataset_row(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    is_pair = raw["split"].isin(["train", "validation"])
    part = raw["split"].where(is_pair, "test")  # near duplicates may be harmful and benign: both test splits
    has_answers = raw["chosen"].notna() & raw["rejected"].notna()
    return {
        **{f"num_{split}": float((raw["split"] == split).sum()) for split in records.SPLITS},
        "is_benign_pair": raw["is_benign"].where(is_pair),
        "is_of_benign_image": _flag(raw["class1"] == records.BENIGN),
        "parts_of_image": _flag(part.groupby(raw["image_id"]).transform("nunique")),
        "parts_of_duplicate_group": _flag(part.groupby(raw["duplicate_group"]).transform("nunique")),
        "has_answers_as_split_says": _flag(has_answers == is_pair),
        "chosen_differs_from_rejected": _flag(raw["chosen"].str.strip() != raw["rejected"].str.strip()).where(
            has_answers
        ),
        "is_chosen_unsafe_over_safe": _chosen_unsafe_over_safe(raw),
    }


def _training_metric(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    import numpy as np

    history = raw.sort_values("step", kind="stable")

    def values(name: str) -> Any:
        return history.loc[history["name"] == name, "value"]

    def final(name: str) -> float:
        return values(name).tail(NUM_LAST).mean()

    names = set(raw["name"])
    needed = {"loss", "kl"} if "score" in names else {"loss", "rewards/margins", "rewards/accuracies"}
    return {
        "num_metrics_missing": float(len(needed - names)),
        "score_gain": final("score") - values("score").head(NUM_LAST).mean(),
        "eval_reward_accuracy": final("eval_rewards/accuracies"),
        "is_finite": _flag(np.isfinite(raw["value"])),
        "final_loss": final("loss"),
        "final_reward_margin": final("rewards/margins"),
        "final_reward_accuracy": final("rewards/accuracies"),
        "num_steps": float(raw["step"].max()),
    }


def _benchmark_score(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    def worst(family: str, metric: str, model: str, column: str, sign: int = 1) -> float:
        is_meant = (raw["family"] == family) & (raw["metric"] == metric) & (raw["model"] == model)
        return (sign * raw.loc[is_meant, column]).max()

    columns = {
        "worst_attack_unsafe_rate": worst("attack", "unsafe_rate", "aligned", "value"),
        "worst_attack_neither_rate": worst("attack", "neither_rate", "aligned", "value"),
        "worst_over_refusal_rate": worst("over_refusal", "over_refusal_rate", "aligned", "value"),
    }
    for suffix, model in (("", "change"), ("_from_champion", "change_from_champion")):
        columns |= {
            f"worst_attack_rise{suffix}": worst("attack", "unsafe_rate", model, "value"),
            f"worst_attack_rise{suffix}_high": worst("attack", "unsafe_rate", model, "high"),
            f"worst_over_refusal_rise{suffix}": worst("over_refusal", "over_refusal_rate", model, "value"),
            f"worst_over_refusal_rise{suffix}_high": worst(
                "over_refusal", "over_refusal_rate", model, "high"
            ),
            f"worst_capability_fall{suffix}": worst("capability", "right_rate", model, "value", -1),
            f"worst_capability_fall{suffix}_high": worst("capability", "right_rate", model, "low", -1),
        }
    return {
        **columns,
        "is_interval_ordered": _flag((raw["low"] <= raw["value"]) & (raw["value"] <= raw["high"])),
    }


def _release_file(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "num_required_files_missing": float(len(set(RELEASE_FILES) - set(raw["path"]))),
        "num_weight_files": float(raw["path"].str.endswith(".safetensors").sum()),
        "is_pickle": _flag(raw["path"].str.lower().str.endswith(PICKLES)),
    }


OUTCOME = Derivation({f"is_{outcome}": f"outcome is {outcome!r}" for outcome in records.OUTCOMES}, _outcome)

DERIVATIONS: dict[type, Derivation] = {
    records.Image: Derivation(
        {
            "is_benign": "the image shows nothing harmful",
            "is_class_known": "class1, class2 and class3 are one path of the taxonomy, or all benign",
            "quarantined_share": "files set aside, duplicates aside, as a share of all read; the same in every row",
            "duplicate_share": "files set aside because their bytes were there already, as a share of all read; the same in every row",
        },
        _image,
    ),
    records.Question: Derivation({"is_benign": "the question is about a benign image"}, _question),
    records.Response: Derivation(
        {
            "ok_share_of_model": "share of this model's rows with outcome ok",
            "answered_share_of_model": "rows of this model, as a share of the rows of the model with the most",
        },
        _response,
    ),
    records.Judgement: Derivation(
        {
            "text_label_agrees": "the judge gave the same is_unsafe without the image as with it; rows of mode text only"
        },
        _judgement,
    ),
    records.Comparison: Derivation(
        {
            "groups_differ": "the two models are of different safety groups",
            "responses_differ": "a and b are two responses",
            "orders_agree": "both orders named the same winner, or both a tie; missing unless both were answered",
            "orders_agree_decided": "the same, missing too if both orders said tie: two ties are no agreement about a winner",
            "is_tie": "the winner is a tie; missing unless outcome is ok",
            "first_shown_wins": "the response shown first won; missing for ties and failed askings",
        },
        _comparison,
    ),
    records.Preference: Derivation(
        {
            "chosen_differs_from_rejected": "the two texts differ, blanks at the ends aside",
            "groups_differ": "the two models are of different safety groups",
            "is_chosen_longer": "chosen has more characters than rejected",
            "num_comparisons": "askings that the pair rests on",
            "is_chosen_unsafe_over_safe": "chosen is labelled unsafe and rejected safe; harm prompts only, missing without both labels",
        },
        _preference,
    ),
    records.DatasetRow: Derivation(
        {
            **{f"num_{split}": f"rows of split {split}; the same in every row" for split in records.SPLITS},
            "is_benign_pair": "is_benign, in train and validation only",
            "is_of_benign_image": "the image is benign, whatever the kind of the question",
            "parts_of_image": "how many of train, validation and test this row's image is in",
            "parts_of_duplicate_group": "how many of train, validation and test this row's near duplicates are in",
            "has_answers_as_split_says": "chosen and rejected are there in train and validation, and nowhere else",
            "chosen_differs_from_rejected": "the two texts differ, blanks at the ends aside; pairs only",
            "is_chosen_unsafe_over_safe": "chosen is labelled unsafe and rejected safe; harm pairs only, missing without both labels",
        },
        _dataset_row,
    ),
    records.TrainingMetric: Derivation(
        {
            "is_finite": "the value is neither NaN nor infinite",
            "final_loss": f"mean of the last {NUM_LAST} logged losses; the same in every row",
            "final_reward_margin": f"mean of the last {NUM_LAST} logged rewards/margins: implicit reward of chosen minus rejected",
            "final_reward_accuracy": f"mean of the last {NUM_LAST} logged rewards/accuracies: share of pairs with a positive margin",
            "num_steps": "the last step; the same in every row",
            "num_metrics_missing": "how many of loss, rewards/margins, rewards/accuracies (PPO: loss, kl) were never logged",
            "score_gain": f"mean score of the last {NUM_LAST} logged answers minus that of the first {NUM_LAST}; PPO only",
            "eval_reward_accuracy": "share of the validation pairs whose chosen answer has the higher reward; missing without any",
        },
        _training_metric,
    ),
    records.BenchmarkScore: Derivation(
        {
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
        },
        _benchmark_score,
    ),
    records.Score: Derivation(gate.COLUMNS, gate.gate_columns),
    records.ReleaseFile: Derivation(
        {
            "num_required_files_missing": f"how many of {', '.join(RELEASE_FILES)} are missing; the same in every row",
            "num_weight_files": "number of safetensors files; the same in every row",
            "is_pickle": f"the file's name ends in one of {', '.join(PICKLES)}: formats that may run code when loaded",
        },
        _release_file,
    ),
}
