"""Some pairs of each class, named by ids."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from spavl.report import counting, words
from spavl.report.reading import RecordedTables, RunState
from spavl.sql import literal

NUM_PER_CLASS = 3
COLUMNS = (
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


def examples(tables: RecordedTables, run: RunState, *, show_text: bool) -> list[dict[str, Any]]:
    """The first pairs of each class by id; their texts are read only with `show_text`."""
    found = tables.find(run.record("preferences"), ["id", "class1"])
    if found is None:
        return []
    wanted = COLUMNS + (TEXT_COLUMNS if show_text else ())
    columns = ", ".join(f'"{name}"' for name in wanted if name in found.columns)
    ids = ", ".join(literal(id) for id in counting.smallest_ids(found, "class1", NUM_PER_CLASS))
    by_class = defaultdict(list)
    for row in counting.rows_of(found, f"SELECT {columns} FROM recorded WHERE id IN ({ids or 'NULL'}) ORDER BY id"):  # fmt: skip
        row["kind"] = words.KINDS.get(row["kind"], row["kind"])
        by_class[row["class1"]].append(row)
    return [{"name": words.class_name(class1), "rows": by_class[class1]} for class1 in sorted(by_class)]
