"""What `captions` measures over its whole table, for its suite to limit (`spavl.validation.measures`)."""

from __future__ import annotations

MEASURES = {"distinct_captions": "different texts among the captions"}
