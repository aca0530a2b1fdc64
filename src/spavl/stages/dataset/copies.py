"""Which images are changed copies of another: thumbnails of tonight's images and of those that are away."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    rows = " UNION ALL ".join(f"SELECT id, thumbnails, {place} AS place FROM {name}" for place, name in enumerate(names))  # fmt: skip
    ctx.tables.view(
        "known_thumbnails",
        f"""SELECT id, arg_max(thumbnails, place) AS thumbnails FROM ({rows})
        WHERE id IN (SELECT id FROM images UNION SELECT id FROM former_splits) GROUP BY id""",
    )
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
    return copies(dict(ctx.tables.sql("SELECT id, thumbnails FROM known_thumbnails").fetchall()), new)
