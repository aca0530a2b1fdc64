"""The page's sections about preference data: images, judge, pairs, example rows. Each is None where its stage has no record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from spavl.records import BENIGN
from spavl.report import counting, plots, words
from spavl.report.reading import RecordedTables, RunState
from spavl.sql import literal

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
PAIR_COLUMNS = ("class1", "is_benign", "decided_by", "margin", "agreement")
TEXT_COLUMNS = ("question", "chosen", "rejected")


def images(tables: RecordedTables, run: RunState) -> dict[str, Any] | None:
    """Accepted images per class, and why others were set aside."""
    record = run.record("images")
    accepted = tables.find(record, ["class1"])
    if accepted is None:
        return None
    per_class = counting.count_by(accepted, "class1")
    set_aside = tables.find(record, ["reason"], "quarantine")
    reasons = counting.count_by(set_aside, "reason") if set_aside is not None else {}
    total = sum(per_class.values())
    return {
        "plot": plots.bars(_class_bars(per_class), f"Images per class: {_spoken(per_class)}"),
        "total": words.number(total),
        "benign": words.percent(counting.share(per_class.get(BENIGN, 0), total), 0),
        "quarantine": [
            (words.count_name(str(reason)), words.number(count)) for reason, count in reasons.items()
        ],
    }


def judge(tables: RecordedTables, run: RunState) -> dict[str, Any] | None:
    """What the judge said per model, what it said without the image, and whether order changed its mind."""
    judgements = tables.find(run.record("judgements"), counting.JUDGEMENT_COLUMNS)
    if judgements is None:
        return None
    comparisons = tables.find(run.record("comparisons"), counting.COMPARISON_COLUMNS)
    groups = counting.safety_groups(comparisons) if comparisons is not None else {}
    return {
        "models": counting.model_statistics(judgements, groups),
        "leakage": counting.leakage(judgements),
        "consistency": counting.order_consistency(comparisons) if comparisons is not None else [],
        "judges": counting.judges(judgements),
    }


def pairs(tables: RecordedTables, run: RunState) -> dict[str, Any] | None:
    """What decided the pairs, how clearly, and how they spread over the classes."""
    record = run.record("preferences")
    found = tables.find(record, PAIR_COLUMNS)
    if record is None or found is None:
        return None
    per_class = counting.count_by(found, "class1")
    total = sum(per_class.values())
    return {
        "total": words.number(total),
        "benign": words.percent(counting.share(counting.count_by(found, "is_benign").get(True, 0), total)),
        "agreement": words.percent(counting.mean(found, "agreement")),
        "decided_by": [
            (axis, words.number(count), words.percent(count / total))
            for axis, count in counting.count_by(found, "decided_by").items()
        ],
        "dropped": [
            (words.count_name(key.removeprefix("dropped_")), words.number(count))
            for key, count in record.counts.items()
            if key.startswith("dropped_") and count
        ],
        "histogram": plots.histogram(counting.histogram(found, "margin"), "Distribution of margins"),
        "plot": plots.bars(_class_bars(per_class), f"Pairs per class: {_spoken(per_class)}"),
    }


def splits(tables: RecordedTables, run: RunState) -> list[dict[str, str]]:
    """Rows, images and benign share per split of the dataset version, in its order; empty if there is none."""
    found = tables.find(run.record("dataset"), ["split", "image_id", "is_benign"], is_ordered=True)
    if found is None:
        return []
    counted = counting.rows_of(
        found,
        """WITH numbered AS (SELECT row_number() OVER () AS number, split, image_id, is_benign FROM recorded)
        SELECT split, count(*) AS num_rows, count(DISTINCT image_id) AS num_images,
            count(*) FILTER (is_benign) AS num_benign
        FROM numbered GROUP BY split ORDER BY min(number)""",
    )
    return [
        {
            "split": words.count_name(row["split"]),
            "rows": words.number(row["num_rows"]),
            "images": words.number(row["num_images"]),
            "benign": words.percent(counting.share(row["num_benign"], row["num_rows"])),
        }
        for row in counted
    ]


def examples(tables: RecordedTables, run: RunState, *, show_text: bool) -> list[dict[str, Any]]:
    """The first pairs of each class by id; their texts are read only with `show_text`."""
    found = tables.find(run.record("preferences"), ["id", "class1"])
    if found is None:
        return []
    wanted = EXAMPLE_COLUMNS + (TEXT_COLUMNS if show_text else ())
    columns = ", ".join(f'"{name}"' for name in wanted if name in found.columns)
    ids = ", ".join(literal(id) for id in counting.smallest_ids(found, "class1", NUM_EXAMPLES_PER_CLASS))
    by_class = defaultdict(list)
    for row in counting.rows_of(found, f"SELECT {columns} FROM recorded WHERE id IN ({ids or 'NULL'}) ORDER BY id"):  # fmt: skip
        row["kind"] = words.KINDS.get(row["kind"], row["kind"])
        by_class[row["class1"]].append(row)
    return [{"name": words.class_name(class1), "rows": by_class[class1]} for class1 in sorted(by_class)]


def _class_bars(per_class: Mapping[str, int]) -> list[plots.Bar]:
    # benign last: it is the control beside the harms, not one of them
    order = sorted(per_class, key=lambda class1: (class1 == BENIGN, -per_class[class1], class1))
    return [plots.Bar(words.class_name(class1), per_class[class1], class1 == BENIGN) for class1 in order]


def _spoken(per_class: Mapping[str, int]) -> str:
    return ", ".join(f"{words.class_name(class1)} {count}" for class1, count in per_class.items())
