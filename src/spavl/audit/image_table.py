"""The measures of the table of images: floods of copies, and what moved since the former version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spavl.audit import coverage, floods
from spavl.audit.drift import drift_of_counts
from spavl.audit.near_duplicates import duplicate_groups
from spavl.audit.tallies import tally
from spavl.records import BENIGN
from spavl.stages.dataset.config import DatasetConfig

if TYPE_CHECKING:
    from spavl.stage import Tables

COLUMNS = ("class1", "class3", "source")


def image_measures(
    tables: Tables, images: str, former: str | None, config: DatasetConfig
) -> dict[str, float | None]:
    """Measures of the view `images`; `former` is the view of the former version's table."""
    now, before = _tallies(tables, images), _tallies(tables, former) if former else None
    leaves = {leaf: number for leaf, number in now["class3"].items() if leaf != BENIGN}
    return {
        **_floods(tables, images, config.near_duplicate_bits),
        "largest_leaf_share": max(leaves.values()) / sum(leaves.values()) if leaves else None,
        **_missing(now, before, config.may_miss),
        **_moved(tables, images, former, config.may_miss),
        **drift_of_counts(now, before),
    }


def _tallies(tables: Tables, images: str) -> dict[str, Counter[Any]]:
    return {name: tally(tables, images, name) for name in COLUMNS}


def _floods(tables: Tables, images: str, max_bits: int) -> dict[str, float | None]:
    """Near duplicates: the one measure that needs every image, of each its id, hash and domain."""
    hashes, class1 = {}, {}
    names: dict[str, str] = {}  # one object per domain, not one per image
    relation = tables.sql(f"SELECT id, perceptual_hash, class1 FROM {images}")
    for batch in tables.batches(relation):
        ids = batch.column("id").to_pylist()
        hashes.update(zip(ids, batch.column("perceptual_hash").to_pylist(), strict=True))
        domains = (names.setdefault(name, name) for name in batch.column("class1").to_pylist())
        class1.update(zip(ids, domains, strict=True))
    return floods.image_floods(class1, duplicate_groups(hashes, max_bits))


def _missing(
    now: Mapping[str, Counter[str]], before: Mapping[str, Counter[str]] | None, may_miss: Sequence[str]
) -> dict[str, float | None]:
    def missing(*names: str) -> float | None:
        found, former = (
            {value for name in names for value in columns[name]} if columns else None
            for columns in (now, before)
        )
        return coverage.num_missing(found, former, may_miss)

    return {"num_missing_classes": missing("class1", "class3"), "num_missing_sources": missing("source")}


def _moved(
    tables: Tables, images: str, former: str | None, may_miss: Sequence[str]
) -> dict[str, float | None]:
    """Images of the former version that are gone or of another class now."""
    if former is None:
        return {"largest_lost_share_of_class": None, "relabelled_share": None}
    lost = [
        share
        for name in ("class1", "class3")
        for share in _lost_shares(tables, images, former, name, may_miss)
    ]
    num_both, num_moved = tables.sql(
        f"""SELECT count(*), count(*) FILTER (images.class3 <> former.class3)
        FROM {former} former JOIN {images} images ON images.id = former.id"""
    ).fetchall()[0]
    return {
        "largest_lost_share_of_class": max(lost, default=None),
        "relabelled_share": num_moved / num_both if num_both else None,
    }


def _lost_shares(tables: Tables, images: str, former: str, name: str, may_miss: Sequence[str]) -> list[float]:
    """Per class of the former version with MIN_CLASS images that may not be missing."""
    found = tables.sql(
        f"""SELECT former.{name}, count(*) FILTER (images.{name} IS DISTINCT FROM former.{name}), count(*)
        FROM {former} former LEFT JOIN {images} images ON images.id = former.id GROUP BY 1"""
    ).fetchall()
    return [
        num_lost / number
        for value, num_lost, number in found
        if number >= coverage.MIN_CLASS and value not in may_miss
    ]
