"""The derived columns of large tables as plain pandas computes them: what their SQL is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from spavl import records
from spavl.records import BENIGN, OUTCOMES
from spavl.stages.comparisons.rows import ORDERS
from spavl.stages.dataset.rows import SPLITS
from spavl.taxonomy import load_taxonomy
from spavl.validation.columns import CONTENT_COLUMNS


def former_columns(
    stage: str, table_rows: list[Any], row_type: type, counts: Mapping[str, int]
) -> pd.DataFrame:
    """Lengths, outcome flags and the stage's derived columns."""
    table = records.to_table(table_rows, row_type)
    raw = table.to_pandas()
    for field in table.schema:
        if str(field.type) == "bool":
            raw[field.name] = raw[field.name].astype("float64")
    columns = {
        f"{field.name}_chars": raw[field.name].str.strip().str.len().astype("float64")
        for field in table.schema
        if field.name in CONTENT_COLUMNS
    }
    if "outcome" in raw:
        columns |= {f"is_{outcome}": _flag(raw["outcome"] == outcome) for outcome in OUTCOMES}
    return pd.DataFrame(columns | _OF_STAGE[stage](raw, counts), index=raw.index)


def _flag(column: Any) -> Any:
    return column.astype("float64")


def _images(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    known = {(leaf.class1, leaf.class2, leaf.id) for leaf in load_taxonomy().leaves} | {(BENIGN,) * 3}
    duplicates = counts.get("quarantined.duplicate", 0)
    num_read = len(raw) + counts["quarantined"]
    return {
        "is_benign": _flag(raw["class1"] == BENIGN),
        "is_class_known": [
            float(path in known) for path in zip(raw["class1"], raw["class2"], raw["class3"], strict=True)
        ],
        "quarantined_share": (counts["quarantined"] - duplicates) / num_read,
        "duplicate_share": duplicates / num_read,
    }


def _questions(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    return {"is_benign": _flag(raw["class1"] == BENIGN)}


def _responses(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    by_model = raw.assign(is_ok=_flag(raw["outcome"] == "ok")).groupby("model")
    rows_of_model = by_model["id"].transform("size")
    return {
        "ok_share_of_model": by_model["is_ok"].transform("mean"),
        "answered_share_of_model": rows_of_model / rows_of_model.max(),
    }


def _judgements(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    seen = raw[raw["mode"] == "image"].drop_duplicates("response_id").set_index("response_id")["is_unsafe"]
    label_with_image = raw["response_id"].map(seen).where(raw["mode"] == "text")
    agrees = _flag(raw["is_unsafe"] == label_with_image)
    return {"text_label_agrees": agrees.where(raw["is_unsafe"].notna() & label_with_image.notna())}


def _comparisons(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    is_ok = raw["outcome"] == "ok"
    keys = ["response_a", "response_b", "axis"]
    askings = raw.assign(winner=raw["winner"].where(is_ok)).groupby(keys)["winner"]
    both_orders = askings.transform("count") == len(ORDERS)
    is_decided = is_ok & raw["winner"].isin(["a", "b"])
    names_a_winner = is_decided.groupby([raw[key] for key in keys]).transform("any")
    orders_agree = _flag(askings.transform("nunique") == 1).where(both_orders)
    return {
        "groups_differ": _flag(raw["group_a"] != raw["group_b"]),
        "responses_differ": _flag(raw["response_a"] != raw["response_b"]),
        "orders_agree": orders_agree,
        "orders_agree_decided": orders_agree.where(names_a_winner),
        "is_tie": _flag(raw["winner"] == "tie").where(is_ok),
        "first_shown_wins": _flag(raw["winner"] == raw["order"].str[0]).where(is_decided),
    }


def _preferences(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
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


def _dataset(raw: pd.DataFrame, counts: Mapping[str, int]) -> dict[str, Any]:
    is_pair = raw["split"].isin(["train", "validation"])
    part = raw["split"].where(is_pair, "test")
    has_answers = raw["chosen"].notna() & raw["rejected"].notna()
    differs = _flag(raw["chosen"].str.strip() != raw["rejected"].str.strip())
    return {
        **{f"num_{split}": float((raw["split"] == split).sum()) for split in SPLITS},
        "is_benign_pair": raw["is_benign"].where(is_pair),
        "is_of_benign_image": _flag(raw["class1"] == BENIGN),
        "parts_of_image": _flag(part.groupby(raw["image_id"]).transform("nunique")),
        "parts_of_duplicate_group": _flag(part.groupby(raw["duplicate_group"]).transform("nunique")),
        "has_answers_as_split_says": _flag(has_answers == is_pair),
        "chosen_differs_from_rejected": differs.where(has_answers),
        "is_chosen_unsafe_over_safe": _chosen_unsafe_over_safe(raw),
    }


_OF_STAGE = {
    "images": _images,
    "questions": _questions,
    "responses": _responses,
    "judgements": _judgements,
    "comparisons": _comparisons,
    "preferences": _preferences,
    "dataset": _dataset,
}
