"""The columns that a suite may use beside an image's own: their words, and their SQL over `rows`."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.records import BENIGN
from spavl.sql import literal

COLUMNS = {
    "is_benign": "the image shows nothing harmful",
    "is_class_known": "class1, class2 and class3 are one path of the taxonomy, or all benign",
    "quarantined_share": "files set aside, duplicates aside, as a share of all read; the same in every row",
    "duplicate_share": "files set aside because their bytes were there already, as a share of all read; the same in every row",
}


def sql(counts: Mapping[str, int]) -> dict[str, str]:
    """Column -> expression. Raises KeyError if the number of quarantined files is not given: it is never taken to be 0."""
    duplicates = counts.get("quarantined.duplicate", 0)  # counted by reason, and only where there are any
    num_read = f"((SELECT count(*) FROM rows) + {counts['quarantined']})"
    return {
        "is_benign": f"class1 = {literal(BENIGN)}",
        "is_class_known": f"(class1, class2, class3) IN ({', '.join(_known_paths())})",
        "quarantined_share": f"{counts['quarantined'] - duplicates} / {num_read}",
        "duplicate_share": f"{duplicates} / {num_read}",
    }


def _known_paths() -> list[str]:
    from spavl.taxonomy import load_taxonomy

    paths = [(leaf.class1, leaf.class2, leaf.id) for leaf in load_taxonomy().leaves]
    return [f"({', '.join(map(literal, path))})" for path in [*paths, (BENIGN,) * 3]]
