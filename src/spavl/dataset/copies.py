"""Which images are changed copies of another: thumbnails of tonight's images and of those that are away."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from spavl.artifacts.record import Record, read_rows
from spavl.audit.copies import copies
from spavl.audit.thumbnails import THUMBNAIL_TABLE
from spavl.dataset.splitting import LEFT_OUT, ImageSplit
from spavl.records import Thumbnail
from spavl.stage import StageContext


def known_thumbnails(ctx: StageContext, image_ids: Collection[str]) -> dict[str, str]:
    """Thumbnails of those of the images that tonight's or the former version's tables hold.

    An image that left before versions kept thumbnails has none, and is compared by its perceptual hash alone.
    """
    records = (ctx.previous("dataset"), ctx.previous("images"), ctx.record("images"))
    found: dict[str, str] = {}
    for record in records:
        found |= {row.id: row.thumbnails for row in _rows(ctx, record) if row.id in image_ids}
    return found


def changed_copies(
    thumbnails: Mapping[str, str], previous: Sequence[ImageSplit], images: Collection[str]
) -> set[tuple[str, str]]:
    """Pairs of copies of which at least one is new: what is between old images was settled when they came."""
    settled = {row.id for row in previous if row.split != LEFT_OUT}
    return copies(thumbnails, set(images) - settled)


def _rows(ctx: StageContext, record: Record | None) -> list[Thumbnail]:
    if record is None or THUMBNAIL_TABLE not in record.tables:
        return []
    return read_rows(ctx.store, record, Thumbnail, THUMBNAIL_TABLE)
