"""Which split an image is in: whole near-duplicate groups, inherited from the previous version where it knows
one. Pure.

New groups are walked class by class, within a class in the order of a seeded hash, and each goes to the split
that is furthest below its share so far. So every class is spread over the splits, shares are met to within
one group, and only the seed and the images decide. An image keeps its split for ever, also while it is away:
its row is carried on. A new image that links groups of two splits is left out, together with the other new
images of that group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from spavl.audit.near_duplicates import duplicate_groups
from spavl.errors import UserError
from spavl.records import stable_hash
from spavl.stages.dataset.config import DatasetConfig
from spavl.stages.dataset.rows import ImageSplit

IMAGE_SPLITS = ("train", "validation", "test")
LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """What of an image decides where it goes."""

    id: str
    class3: str
    perceptual_hash: str


def split_images(
    images: Sequence[PlacedImage],
    previous: Iterable[ImageSplit],
    config: DatasetConfig,
    copies: Collection[tuple[str, str]] = (),
) -> list[ImageSplit]:
    """One row per image of tonight or of the previous version, by id; `copies` are one group whatever their hashes.

    Raises UserError where the shares leave nothing for train, or where `near_duplicate_bits` was raised so
    far that images of two old splits are now near duplicates.
    """
    _check_shares(config)
    inherited = {row.id: row for row in previous if row.split != LEFT_OUT}
    hashes = {image.id: image.perceptual_hash for image in images}
    hashes |= {row.id: row.perceptual_hash for row in inherited.values()}
    kept = {image_id: row.split for image_id, row in inherited.items()}
    # old images stay the groups that they were, whatever linked them then
    links = [
        *copies,
        *((row.id, row.duplicate_group) for row in inherited.values() if row.id != row.duplicate_group),
    ]
    groups = all_groups = duplicate_groups(hashes, config.near_duplicate_bits, links)
    conflicts = _with_two_splits(groups, kept)
    left_out = _bridging(groups, kept, conflicts)
    if left_out:
        remaining = {image_id: value for image_id, value in hashes.items() if image_id not in left_out}
        groups = duplicate_groups(remaining, config.near_duplicate_bits, links)
        conflicts = _with_two_splits(groups, kept)
    if conflicts:
        raise _bits_were_raised(len(conflicts), config)
    present = {image.id: image for image in images}
    splits = _assign(groups, kept, present, config)
    rows = [
        ImageSplit(image_id, splits[group], group, hashes[image_id], image_id in present)
        for image_id, group in groups.items()
    ]
    rows += [
        ImageSplit(image_id, LEFT_OUT, all_groups[image_id], hashes[image_id], True) for image_id in left_out
    ]
    return sorted(rows, key=lambda row: row.id)


def without_images(rows: Iterable[ImageSplit], image_ids: Collection[str]) -> list[ImageSplit]:
    """The rows of all other images; a group that was named after one of these is named after its smallest image that is left."""
    kept = [row for row in rows if row.id not in image_ids]
    names: dict[str, str] = {}
    for row in kept:
        names[row.duplicate_group] = min(names.get(row.duplicate_group, row.id), row.id)
    return [
        replace(row, duplicate_group=names[row.duplicate_group]) if row.duplicate_group in image_ids else row
        for row in kept
    ]


def _check_shares(config: DatasetConfig) -> None:
    if config.test_share + config.validation_share >= 1:
        raise UserError(
            f"dataset.test_share {config.test_share} and validation_share {config.validation_share} leave "
            "nothing for train.",
            next_step="Their sum must be below 1.",
        )


def _bits_were_raised(num_groups: int, config: DatasetConfig) -> UserError:
    return UserError(
        f"with dataset.near_duplicate_bits {config.near_duplicate_bits}, {num_groups} groups hold images "
        "that the previous version has in two splits.",
        next_step="Take the former value, or publish to another dataset.channel, which starts afresh.",
    )


def _members(groups: Mapping[str, str]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = defaultdict(list)
    for image_id, group in groups.items():
        members[group].append(image_id)
    return members


def _with_two_splits(groups: Mapping[str, str], kept: Mapping[str, str]) -> set[str]:
    splits: dict[str, set[str]] = defaultdict(set)
    for image_id, split in kept.items():
        splits[groups[image_id]].add(split)
    return {group for group, found in splits.items() if len(found) > 1}


def _bridging(groups: Mapping[str, str], kept: Mapping[str, str], conflicts: Collection[str]) -> set[str]:
    """The new images of groups that hold old images of two splits."""
    if not conflicts:
        return set()
    return {image_id for image_id, group in groups.items() if group in conflicts and image_id not in kept}


def _assign(
    groups: Mapping[str, str],
    kept: Mapping[str, str],
    present: Mapping[str, PlacedImage],
    config: DatasetConfig,
) -> dict[str, str]:
    """Split per group: inherited, or by quota over tonight's images."""
    members = _members(groups)
    splits = {groups[image_id]: split for image_id, split in kept.items()}
    sizes = {group: sum(image_id in present for image_id in ids) for group, ids in members.items()}
    filled = dict.fromkeys(IMAGE_SPLITS, 0)
    for group, split in splits.items():
        filled[split] += sizes[group]
    new = [group for group in members if group not in splits]
    new.sort(key=lambda group: (present[group].class3, stable_hash("split", config.seed, group)))
    for group in new:
        splits[group] = _neediest(filled, sizes[group], config)
        filled[splits[group]] += sizes[group]
    return splits


def _neediest(filled: Mapping[str, int], size: int, config: DatasetConfig) -> str:
    """The split furthest below its share once this group is in; ties in the order of IMAGE_SPLITS."""
    shares = {
        "train": 1 - config.test_share - config.validation_share,
        "validation": config.validation_share,
        "test": config.test_share,
    }
    total = sum(filled.values()) + size
    return max(IMAGE_SPLITS, key=lambda split: shares[split] * total - filled[split])
