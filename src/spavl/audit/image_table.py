"""The measures of the table of images: floods of copies, and what moved since the former version. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spavl.audit import coverage, floods
from spavl.audit.drift import drift
from spavl.audit.near_duplicates import duplicate_groups
from spavl.config import DatasetConfig
from spavl.records import BENIGN, Image


def image_measures(
    images: Sequence[Image], former: Mapping[str, Sequence[Any]] | None, config: DatasetConfig
) -> dict[str, float | None]:
    """Measures of `images`; `former` has the columns id, class1, class3, source of the former version's table."""
    groups = duplicate_groups(
        {image.id: image.perceptual_hash for image in images}, config.near_duplicate_bits
    )
    columns = {name: [getattr(image, name) for image in images] for name in ("class1", "class3", "source")}
    return {
        **floods.image_floods({image.id: image.class1 for image in images}, groups),
        "largest_leaf_share": floods.commonest_share(leaf for leaf in columns["class3"] if leaf != BENIGN),
        **_against_former(images, columns, former, config.may_miss),
        **drift(columns, former),
    }


def _against_former(
    images: Sequence[Image],
    columns: Mapping[str, Sequence[str]],
    former: Mapping[str, Sequence[Any]] | None,
    may_miss: Sequence[str],
) -> dict[str, float | None]:
    def by_id(name: str) -> dict[str, str] | None:
        return dict(zip(former["id"], former[name], strict=True)) if former else None

    def missing(*names: str) -> float | None:
        found = [name for column in names for name in columns[column]]
        before = [name for column in names for name in former[column]] if former else None
        return coverage.num_missing(found, before, may_miss)

    now = {name: {image.id: getattr(image, name) for image in images} for name in columns}
    return {
        "num_missing_classes": missing("class1", "class3"),
        "num_missing_sources": missing("source"),
        "largest_lost_share_of_class": max(
            (
                share
                for name in ("class1", "class3")
                if (share := coverage.largest_lost_share(now[name], by_id(name), may_miss)) is not None
            ),
            default=None,
        ),
        "relabelled_share": coverage.relabelled_share(now["class3"], by_id("class3")),
    }
