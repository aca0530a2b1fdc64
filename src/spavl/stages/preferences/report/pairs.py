"""What decided the pairs, how clearly, and how they spread over the classes."""

from __future__ import annotations

from typing import Any

from spavl.report import counting, plots, words
from spavl.report.classes import plot_per_class
from spavl.report.reading import RecordedTables, RunState

COLUMNS = ("class1", "is_benign", "decided_by", "margin", "agreement")


def pairs(tables: RecordedTables, run: RunState) -> dict[str, Any] | None:
    """What decided the pairs, how clearly, and how they spread over the classes; None before the record."""
    record = run.record("preferences")
    found = tables.find(record, COLUMNS)
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
        "plot": plot_per_class(per_class, "Pairs"),
    }
