"""Stage `images`: reads image sources (folders, CSV tables), writes `Image` rows, blobs and a quarantine table.

Promises: every file or CSV row becomes exactly one image or one quarantined row with a reason; no file is decoded past
the limits, no path leaves its source, nothing is fetched from the web. The decision is repeatable: same bytes, same row.
"""

from spavl.stages.images.quarantine import QUARANTINE_REASONS

__all__ = ["QUARANTINE_REASONS"]
