"""`dataset`: splits the images, lays out the rows, writes the version's folder. Seal alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spavl.audit.thumbnails import THUMBNAIL_TABLE
from spavl.records import to_table
from spavl.stage import Answered, Derived, Sealed, StageContext
from spavl.stages.dataset.card import card, shown
from spavl.stages.dataset.copies import changed_copies, know_thumbnails, thumbnails_away
from spavl.stages.dataset.folder import (
    FOLDER,
    PART_TABLE,
    ROW_TABLE,
    DataFiles,
    write_data_files,
    write_manifest,
)
from spavl.stages.dataset.making_rows import (
    ORDER,
    check_images_exist,
    check_no_split_is_empty,
    counts_of,
    make_rows,
)
from spavl.stages.dataset.measuring import measures_of
from spavl.stages.dataset.rows import SPLITS, ImageSplit, VersionRow
from spavl.stages.dataset.splitting import PlacedImage, split_images, without_images
from spavl.stages.images.rows import Thumbnail

SPLIT_TABLE = "image_splits"


def seal(ctx: StageContext, answered: Answered) -> Sealed:
    """A version; raises UserError if there is no preference, a split is empty, or an image is missing."""
    for name in ("images", "questions", "preferences"):
        ctx.tables.open(name)
    check_images_exist(ctx.tables)
    splits, thumbnails = _splits(ctx)
    ctx.tables.view(SPLIT_TABLE, to_table(splits, ImageSplit))
    rows = make_rows(ctx.tables, hold_out_words=ctx.section().hold_out_words)
    counts = counts_of(ctx.tables, splits)
    check_no_split_is_empty({split: counts[split] for split in SPLITS}, splits)
    measures = measures_of(ctx, splits)
    folder = ctx.scratch / FOLDER
    files = write_data_files(ctx, folder)
    _write_texts(ctx, folder, files, splits, counts, measures)
    details = {
        "version": files.version,
        "benign_share_of_pairs": counts["benign_pairs"] / counts["pairs"],
        "channel_entry": {"version": files.version, "pairs": counts["pairs"]},
    }
    side_tables = {
        SPLIT_TABLE: splits,
        THUMBNAIL_TABLE: thumbnails,
        PART_TABLE: files.parts,
        ROW_TABLE: Derived(files.rows, VersionRow, order="id"),
    }
    return Sealed(
        rows,
        counts,
        side_tables,
        {FOLDER: folder},
        details,
        measures,
        copied={FOLDER: files.kept},
        order=ORDER,
        finished={FOLDER: files.written},
    )


def _splits(ctx: StageContext) -> tuple[list[ImageSplit], Sequence[Any] | Derived]:
    """The split of every image, and the thumbnails of those that are away, for the nights to come."""
    images = list(ctx.tables.rows(ctx.tables.sql("SELECT * FROM images ORDER BY id"), PlacedImage))
    previous = _previous_splits(ctx)
    if not know_thumbnails(ctx):
        return split_images(images, previous, ctx.section()), []
    links: set[tuple[str, str]] = set()
    if ctx.section().find_changed_copies:
        links = changed_copies(ctx, previous, {image.id for image in images})
    away = Derived(thumbnails_away(ctx), Thumbnail)
    return split_images(images, previous, ctx.section(), links), away


def _previous_splits(ctx: StageContext) -> list[ImageSplit]:
    """Those of the former version; also the view `former_splits`."""
    former = ctx.tables.former("dataset", SPLIT_TABLE, view="former_splits")
    rows = [] if former is None else list(ctx.tables.rows(former.order("id"), ImageSplit))
    kept = without_images(rows, ctx.forgotten)
    if former is None or len(kept) < len(rows):
        ctx.tables.view("former_splits", to_table(kept, ImageSplit))
    return kept


def _write_texts(
    ctx: StageContext,
    folder: Path,
    files: DataFiles,
    splits: Sequence[ImageSplit],
    counts: Mapping[str, int],
    measures: Mapping[str, float | None],
) -> None:
    """The card, and the manifest last."""
    num_rows = {split: counts[split] for split in SPLITS}
    of = shown(ctx.tables, splits, num_rows)
    text = card(files.version, of, ctx.config, _revisions(ctx), counts, measures)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(text, "utf-8")
    write_manifest(folder, files.version, num_rows, files.parts)


def _revisions(ctx: StageContext) -> dict[str, str]:
    config = ctx.config
    specs = [
        *config.responses.models,
        config.questions.generator,
        config.judgements.judge,
        config.comparisons.judge,
    ]
    return {spec.name: ctx.revision(spec.name) for spec in specs if spec is not None}
