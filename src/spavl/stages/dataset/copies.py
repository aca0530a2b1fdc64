"""Which images are changed copies of another: thumbnails of tonight's images and of those that are away."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from spavl.audit.copies import copies
from spavl.audit.thumbnails import THUMBNAIL_TABLE
from spavl.stage import StageContext
from spavl.stages.dataset.rows import ImageSplit
from spavl.stages.dataset.splitting import LEFT_OUT

if TYPE_CHECKING:
    from spavl.artifacts.engine import Relation


def know_thumbnails(ctx: StageContext) -> bool:
    """Make the view `known_thumbnails` of tonight's images and of those of the view `former_splits`; False: there are none.

    Tonight's or the former version's tables hold them. An image that left before versions kept thumbnails has none, and is
    compared by its perceptual hash alone.
    """
    names = _opened(ctx)
    if not names:
        return False
    each = []
    for place, name in enumerate(names):
        is_newest = " ".join(f"AND id NOT IN (SELECT id FROM {newer})" for newer in names[place + 1 :])
        each.append(
            f"""SELECT id, thumbnails FROM {name}
            WHERE id IN (SELECT id FROM images UNION SELECT id FROM former_splits) {is_newest}"""
        )
    ctx.tables.view("known_thumbnails", " UNION ALL ".join(each))
    return True


def _opened(ctx: StageContext) -> list[str]:
    """Views of thumbnails, the newest last."""
    names = [
        f"{stage}_before"
        for stage in ("dataset", "images")
        if ctx.tables.former(stage, THUMBNAIL_TABLE, view=f"{stage}_before") is not None
    ]
    if THUMBNAIL_TABLE in ctx.record("images").tables:
        ctx.tables.open("images", THUMBNAIL_TABLE, view="thumbnails_tonight")
        names.append("thumbnails_tonight")
    return names


def thumbnails_away(ctx: StageContext) -> Relation:
    """Of images that are not among tonight's, for the nights to come."""
    return ctx.tables.sql(
        "SELECT id, thumbnails FROM known_thumbnails WHERE id NOT IN (SELECT id FROM images) ORDER BY id"
    )


def changed_copies(
    ctx: StageContext, previous: Sequence[ImageSplit], images: Collection[str]
) -> set[tuple[str, str]]:
    """Pairs of copies of which at least one is new: what is between old images was settled when they came."""
    settled = {row.id for row in previous if row.split != LEFT_OUT}
    new = set(images) - settled
    if not new:
        return set()
    return copies(_each_thumbnail(ctx), new)


def _each_thumbnail(ctx: StageContext) -> Iterator[tuple[str, str]]:
    for batch in ctx.tables.batches(ctx.tables.sql("SELECT id, thumbnails FROM known_thumbnails")):
        yield from zip(batch["id"].to_pylist(), batch["thumbnails"].to_pylist(), strict=True)
