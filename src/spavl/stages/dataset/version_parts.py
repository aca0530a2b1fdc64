"""Which files of the former version this one keeps. Pure.

A version's rows lie in part files. A former part whose rows are all rows of this version, with equal values, is kept as it
is: its bytes are copied by reference. All other rows are written anew. So that the number of parts stays bounded, a split
keeps at most MAX_SMALL_PARTS parts with less than SMALL_SHARE of the rows and of the bytes that a full part has; if it had
more, none of its small parts is kept, and their rows become few parts again. A row is therefore written again at most once
in MAX_SMALL_PARTS nights, and a split of N rows has at most N / (SMALL_SHARE * PART_ROWS) + MAX_SMALL_PARTS parts, and
those of the night, if bytes do not fill them earlier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from spavl.stages.dataset.rows import VersionPart

PART_ROWS = 4096
PART_BYTES = 64 * 2**20
SMALL_SHARE = 0.5
MAX_SMALL_PARTS = 16


def kept_parts(former: Sequence[VersionPart], tonight: Mapping[str, str]) -> list[VersionPart]:
    """The former parts that stay; `tonight`: part id -> hash over tonight's values of those of its rows that are still there."""
    same = [part for part in former if tonight.get(part.id) == part.value]
    num_small = Counter(part.split for part in same if is_small(part))
    return [part for part in same if not is_small(part) or num_small[part.split] <= MAX_SMALL_PARTS]


def is_small(part: VersionPart) -> bool:
    """Whether it may be joined with others: less than SMALL_SHARE of the rows and of the bytes of a full one."""
    return part.num_rows < SMALL_SHARE * PART_ROWS and part.num_bytes < SMALL_SHARE * PART_BYTES
