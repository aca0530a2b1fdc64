"""What `comparisons` measures over its whole table, for its suite to limit (`spavl.validation.measures`)."""

from __future__ import annotations

from spavl.judging.measures import GOLD_PAIR_MEASURES

MEASURES = GOLD_PAIR_MEASURES
