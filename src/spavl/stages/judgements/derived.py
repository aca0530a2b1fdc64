"""The column that a suite may use beside a judgement's own: its words, and its SQL over `rows`."""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS = {
    "text_label_agrees": "the judge gave the same is_unsafe without the image as with it; rows of mode text only"
}
# of two rows with the image the first counts; if that has no label, there is nothing to agree with
_LABEL_WITH_IMAGE = """(
    SELECT arg_min_null(seen.is_unsafe, seen.row) FROM rows seen
    WHERE seen.response_id = rows.response_id AND seen.mode = 'image'
)"""


def sql(counts: Mapping[str, int]) -> dict[str, str]:
    """Column -> expression."""
    return {"text_label_agrees": f"CASE WHEN mode = 'text' THEN is_unsafe = {_LABEL_WITH_IMAGE} END"}
