"""`dataset`: splits the images, lays out the rows, writes the version's folder. Seal alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from spavl.artifacts.record import read_rows
from spavl.audit import dataset_table
from spavl.audit.former import former_columns
from spavl.audit.thumbnails import THUMBNAIL_TABLE
from spavl.dataset.card import card
from spavl.dataset.copies import changed_copies, known_thumbnails
from spavl.dataset.published import version_id, write_manifest, write_splits
from spavl.dataset.rows import (
    check_no_split_is_empty,
    dataset_rows,
    unused_preferences,
    without_test_words,
)
from spavl.dataset.splitting import LEFT_OUT, ImageSplit, split_images
from spavl.errors import UserError
from spavl.records import SPLITS, DatasetRow, Image, Thumbnail
from spavl.stage import Sealed, StageContext

TABLE = DatasetRow
SPLIT_TABLE = "image_splits"


def seal(ctx: StageContext, rows: list[Any]) -> Sealed:
    """A version; raises UserError where there is no preference, a split is empty, or an image is missing."""
    preferences = ctx.rows("preferences")
    if not preferences:
        raise UserError(
            "this run has 0 preferences, so there is nothing to make a dataset of.",
            next_step="See in the record of `preferences` why its pairs were dropped.",
        )
    images: dict[str, Image] = {image.id: image for image in ctx.rows("images")}
    splits, thumbnails = _splits(ctx, images)
    by_image = {row.id: row for row in splits}
    _check_images_exist(images, preferences)
    all_rows = dataset_rows(ctx.rows("questions"), preferences, by_image)
    made = without_test_words(all_rows) if ctx.section().hold_out_words else all_rows
    check_no_split_is_empty(made, splits)
    counts = _counts(made, splits) | unused_preferences(preferences, by_image)
    counts["pairs_held_out_as_words"] = len(all_rows) - len(made)
    measures = _measures(ctx, made, images, splits)
    folder = ctx.scratch / "version"
    version = _write_folder(ctx, folder, made, splits, images, counts, measures)
    details = {
        "version": version,
        "benign_share_of_pairs": counts["benign_pairs"] / counts["pairs"],
        "channel_entry": {"version": version, "pairs": counts["pairs"]},
    }
    side_tables = {SPLIT_TABLE: splits, THUMBNAIL_TABLE: thumbnails}
    return Sealed(made, counts, side_tables, {"version": folder}, details, measures)


def _splits(ctx: StageContext, images: dict[str, Image]) -> tuple[list[ImageSplit], list[Thumbnail]]:
    """The split of every image, and the thumbnails of those that are away, for the nights to come."""
    previous, config = _previous_splits(ctx), ctx.section()
    thumbnails = known_thumbnails(ctx, images.keys() | {row.id for row in previous})
    links = changed_copies(thumbnails, previous, images.keys()) if config.find_changed_copies else set()
    away = [Thumbnail(id, thumbnails[id]) for id in sorted(thumbnails.keys() - images.keys())]
    return split_images(list(images.values()), previous, config, links), away


def _measures(
    ctx: StageContext, rows: list[DatasetRow], images: dict[str, Image], splits: list[ImageSplit]
) -> dict[str, float | None]:
    former = former_columns(ctx.store, ctx.previous("dataset"), dataset_table.FORMER_COLUMNS)
    former_images = former_columns(ctx.store, ctx.previous("images"), ("id", "source"))
    former_sources = dict(zip(*former_images.values(), strict=True)) if former_images else {}
    sources = {image.id: image.source for image in images.values()}
    may_miss = ctx.section().may_miss
    groups = {row.id: row.duplicate_group for row in splits if row.is_present}
    return {
        **dataset_table.overlap_measures(rows),
        **dataset_table.copies_measures(rows, images, groups),
        **dataset_table.coverage_measures(ctx.rows("questions"), ctx.rows("preferences"), may_miss),
        **dataset_table.former_measures(rows, sources, former, former_sources, may_miss),
    }


def _previous_splits(ctx: StageContext) -> list[ImageSplit]:
    record = ctx.previous("dataset")
    return read_rows(ctx.store, record, ImageSplit, SPLIT_TABLE) if record is not None else []


def _check_images_exist(images: dict[str, Image], preferences: list[Any]) -> None:
    missing = sorted({row.image_id for row in preferences} - images.keys())
    if missing:
        raise UserError(
            f"{len(missing)} images of preferences are not in the images table (first: {missing[0]}).",
            next_step="Start a new run: its stages must read the same images.",
        )


def _counts(rows: list[DatasetRow], splits: list[ImageSplit]) -> dict[str, int]:
    present = [row for row in splits if row.is_present]
    of_split = Counter(row.split for row in present)
    pairs = [row for row in rows if row.chosen is not None]
    return {
        **{split: sum(row.split == split for row in rows) for split in SPLITS},
        "pairs": len(pairs),
        "benign_pairs": sum(row.is_benign for row in pairs),
        "images": len(present),
        "images_train": of_split["train"],
        "images_validation": of_split["validation"],
        "images_test": of_split["test"],
        "images_left_out": of_split[LEFT_OUT],
        "duplicate_groups": len({row.duplicate_group for row in present}),
    }


def _write_folder(
    ctx: StageContext,
    folder: Path,
    rows: list[DatasetRow],
    splits: list[ImageSplit],
    images: dict[str, Image],
    counts: dict[str, int],
    measures: dict[str, float | None],
) -> str:
    """The published folder, and its version id."""
    write_splits(folder, rows, images, ctx.store.get_blob, lambda done: ctx.progress(done, len(rows)))
    version = version_id(folder)
    text = card(version, rows, splits, images, ctx.config, _revisions(ctx), counts, measures)
    (folder / "README.md").write_text(text, "utf-8")
    write_manifest(folder, version, {split: counts[split] for split in SPLITS})
    return version


def _revisions(ctx: StageContext) -> dict[str, str]:
    config = ctx.config
    specs = [
        *config.responses.models,
        config.questions.generator,
        config.judgements.judge,
        config.comparisons.judge,
    ]
    return {spec.name: ctx.revision(spec.name) for spec in specs if spec is not None}
