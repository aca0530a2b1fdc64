"""The columns that a suite may use beside a preference's own: their words, and their SQL over `rows`."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.validation.lengths import stripped

COLUMNS = {
    "chosen_differs_from_rejected": "the two texts differ, blanks at the ends aside",
    "groups_differ": "the two models are of different safety groups",
    "is_chosen_longer": "chosen has more characters than rejected",
    "num_comparisons": "askings that the pair rests on",
    "is_chosen_unsafe_over_safe": "chosen is labelled unsafe and rejected safe; harm prompts only, missing without both labels",
}


def sql(counts: Mapping[str, int]) -> dict[str, str]:
    """Column -> expression."""
    return {
        "chosen_differs_from_rejected": f"{stripped('chosen')} <> {stripped('rejected')}",
        "groups_differ": "chosen_group <> rejected_group",
        "is_chosen_longer": "length(chosen) > length(rejected)",
        "num_comparisons": "len(comparisons)",
        "is_chosen_unsafe_over_safe": """CASE WHEN NOT is_benign AND chosen_is_unsafe IS NOT NULL AND rejected_is_unsafe IS NOT NULL
            THEN chosen_is_unsafe AND NOT rejected_is_unsafe END""",
    }
