"""The page's sections about preference data: images, judge, pairs, example rows. Each is None where its stage has no record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from spavl.artifacts.store import Store
from spavl.records import BENIGN
from spavl.report import counting, plots, words
from spavl.report.reading import RunState, read_columns

NUM_EXAMPLES_PER_CLASS = 3
EXAMPLE_COLUMNS = (
    "id",
    "image_id",
    "question_id",
    "class1",
    "class3",
    "kind",
    "decided_by",
    "margin",
    "chosen_model",
    "rejected_model",
)
TEXT_COLUMNS = ("question", "chosen", "rejected")


def images(store: Store, run: RunState) -> dict[str, Any] | None:
    """Accepted images per class, and why others were set aside."""
    record = run.record("images")
    if record is None:
        return None
    per_class = counting.count_by(read_columns(store, record, ["class1"]), "class1")
    reasons = counting.count_by(read_columns(store, record, ["reason"], "quarantine"), "reason")
    total = sum(per_class.values())
    return {
        "plot": plots.bars(_class_bars(per_class), f"Images per class: {_spoken(per_class)}"),
        "total": words.number(total),
        "benign": words.percent(per_class.get(BENIGN, 0) / total if total else None, 0),
        "quarantine": [
            (words.count_name(str(reason)), words.number(count)) for reason, count in reasons.items()
        ],
    }


def judge(store: Store, run: RunState) -> dict[str, Any] | None:
    """What the judge said per model, what it said without the image, and whether order changed its mind."""
    record = run.record("judgements")
    if record is None:
        return None
    judgements = read_columns(store, record, counting.JUDGEMENT_COLUMNS)
    comparisons = read_columns(store, run.record("comparisons"), counting.COMPARISON_COLUMNS)
    names = read_columns(store, record, ["judge", "judge_revision"])
    return {
        "models": counting.model_statistics(judgements, counting.safety_groups(comparisons)),
        "leakage": counting.leakage(judgements),
        "consistency": counting.order_consistency(comparisons),
        "judges": sorted({(row["judge"], row["judge_revision"]) for row in names}),
    }


def pairs(store: Store, run: RunState) -> dict[str, Any] | None:
    """What decided the pairs, how clearly, and how they spread over the classes."""
    record = run.record("preferences")
    if record is None:
        return None
    rows = read_columns(store, record, ["class1", "is_benign", "decided_by", "margin", "agreement"])
    per_class = counting.count_by(rows, "class1")
    agreement = [row["agreement"] for row in rows]
    return {
        "total": words.number(len(rows)),
        "benign": words.percent(counting.share(row["is_benign"] for row in rows)),
        "agreement": words.percent(sum(agreement) / len(agreement) if agreement else None),
        "decided_by": [
            (axis, words.number(count), words.percent(count / len(rows)))
            for axis, count in counting.count_by(rows, "decided_by").items()
        ],
        "dropped": [
            (words.count_name(key.removeprefix("dropped_")), words.number(count))
            for key, count in record.counts.items()
            if key.startswith("dropped_") and count
        ],
        "histogram": plots.histogram([row["margin"] for row in rows], "Distribution of margins"),
        "plot": plots.bars(_class_bars(per_class), f"Pairs per class: {_spoken(per_class)}"),
    }


def splits(store: Store, run: RunState) -> list[dict[str, str]]:
    """Rows, images and benign share per split of the dataset version; empty where there is none."""
    by_split = defaultdict(list)
    for row in read_columns(store, run.record("dataset"), ["split", "image_id", "is_benign"]):
        by_split[row["split"]].append(row)
    return [
        {
            "split": words.count_name(split),
            "rows": words.number(len(rows)),
            "images": words.number(len({row["image_id"] for row in rows})),
            "benign": words.percent(counting.share(row["is_benign"] for row in rows)),
        }
        for split, rows in by_split.items()
    ]


def examples(store: Store, run: RunState, *, show_text: bool) -> list[dict[str, Any]]:
    """The first pairs of each class by id; their texts are read only with `show_text`."""
    columns = EXAMPLE_COLUMNS + (TEXT_COLUMNS if show_text else ())
    by_class = defaultdict(list)
    for row in sorted(read_columns(store, run.record("preferences"), columns), key=lambda row: row["id"]):
        if len(by_class[row["class1"]]) < NUM_EXAMPLES_PER_CLASS:
            row["kind"] = words.KINDS.get(row["kind"], row["kind"])
            by_class[row["class1"]].append(row)
    return [{"name": words.class_name(class1), "rows": by_class[class1]} for class1 in sorted(by_class)]


def _class_bars(per_class: Mapping[str, int]) -> list[plots.Bar]:
    # benign last: it is the control beside the harms, not one of them
    order = sorted(per_class, key=lambda class1: (class1 == BENIGN, -per_class[class1], class1))
    return [plots.Bar(words.class_name(class1), per_class[class1], class1 == BENIGN) for class1 in order]


def _spoken(per_class: Mapping[str, int]) -> str:
    return ", ".join(f"{words.class_name(class1)} {count}" for class1, count in per_class.items())
