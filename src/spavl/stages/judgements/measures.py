"""What `judgements` measures over its whole table, for its suite to limit (`spavl.validation.measures`)."""

from __future__ import annotations

from spavl.judging.measures import GOLD_MEASURES

MEASURES = GOLD_MEASURES
