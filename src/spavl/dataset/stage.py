"""`dataset`: splits the images, lays out the rows, writes the version's folder. Seal alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from spavl.artifacts.record import read_rows
from spavl.dataset.card import card
from spavl.dataset.published import version_id, write_manifest, write_splits
from spavl.dataset.rows import check_no_split_is_empty, dataset_rows, unused_preferences
from spavl.dataset.splitting import LEFT_OUT, ImageSplit, split_images
from spavl.errors import UserError
from spavl.records import SPLITS, DatasetRow, Image
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
    splits = split_images(list(images.values()), _previous_splits(ctx), ctx.section())
    by_image = {row.id: row for row in splits}
    _check_images_exist(images, preferences)
    made = dataset_rows(ctx.rows("questions"), preferences, by_image)
    check_no_split_is_empty(made, splits)
    counts = _counts(made, splits) | unused_preferences(preferences, by_image)
    folder = ctx.scratch / "version"
    version = _write_folder(ctx, folder, made, splits, images, counts)
    details = {
        "version": version,
        "benign_share_of_pairs": counts["benign_pairs"] / counts["pairs"],
        "channel_entry": {"version": version, "pairs": counts["pairs"]},
    }
    return Sealed(made, counts, {SPLIT_TABLE: splits}, {"version": folder}, details)


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
) -> str:
    """The published folder, and its version id."""
    write_splits(folder, rows, images, ctx.store.get_blob, lambda done: ctx.progress(done, len(rows)))
    version = version_id(folder)
    text = card(version, rows, splits, images, ctx.config, _revisions(ctx), counts)
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
