"""The judge's reading of the answers: per model, without the image, and in both orders."""

from __future__ import annotations

from typing import Any

from spavl.report.reading import RecordedTables, RunState
from spavl.stages.judgements.report import counting


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
