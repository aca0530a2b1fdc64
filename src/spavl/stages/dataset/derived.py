"""The columns that a suite may use beside a dataset row's own: their words, and their SQL over `rows`."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.records import BENIGN
from spavl.sql import literal
from spavl.stages.dataset.rows import SPLITS
from spavl.validation.lengths import stripped

COLUMNS = {
    **{f"num_{split}": f"rows of split {split}; the same in every row" for split in SPLITS},
    "is_benign_pair": "is_benign, in train and validation only",
    "is_of_benign_image": "the image is benign, whatever the kind of the question",
    "parts_of_image": "how many of train, validation and test this row's image is in",
    "parts_of_duplicate_group": "how many of train, validation and test this row's near duplicates are in",
    "has_answers_as_split_says": "chosen and rejected are there in train and validation, and nowhere else",
    "chosen_differs_from_rejected": "the two texts differ, blanks at the ends aside; pairs only",
    "is_chosen_unsafe_over_safe": "chosen is labelled unsafe and rejected safe; harm pairs only, missing without both labels",
}
_IS_PAIR = "(split IN ('train', 'validation'))"
_HAS_ANSWERS = "(chosen IS NOT NULL AND rejected IS NOT NULL)"
# near duplicates may be harmful and benign: both test splits are one part
_PARTS = """(
    SELECT count(DISTINCT CASE WHEN others.split IN ('train', 'validation') THEN others.split ELSE 'test' END)
    FROM rows others WHERE others.{0} = rows.{0}
)"""


def sql(counts: Mapping[str, int]) -> dict[str, str]:
    """Column -> expression."""
    sizes = {
        f"num_{split}": f"(SELECT count(*) FROM rows WHERE split = {literal(split)})" for split in SPLITS
    }
    differs = f"{stripped('chosen')} <> {stripped('rejected')}"
    return {
        **sizes,
        "is_benign_pair": f"CASE WHEN {_IS_PAIR} THEN is_benign END",
        "is_of_benign_image": f"class1 = {literal(BENIGN)}",
        "parts_of_image": _PARTS.format("image_id"),
        "parts_of_duplicate_group": _PARTS.format("duplicate_group"),
        "has_answers_as_split_says": f"{_HAS_ANSWERS} = {_IS_PAIR}",
        "chosen_differs_from_rejected": f"CASE WHEN {_HAS_ANSWERS} THEN {differs} END",
        "is_chosen_unsafe_over_safe": """CASE WHEN NOT is_benign AND chosen_is_unsafe IS NOT NULL AND rejected_is_unsafe IS NOT NULL
            THEN chosen_is_unsafe AND NOT rejected_is_unsafe END""",
    }
