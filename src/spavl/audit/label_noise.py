"""Labels that contradict what words predict: confident learning (Northcutt, Jiang & Chuang 2021) by cleanlab.

Cross-fitted by image, so that four answers about one image do not vouch for each other. A judge that errs at random is seen as a
share of rows; one that errs on some images consistently is seen as a share of images most of whose labels are contradicted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from spavl.audit.excess import Group, groups_in_excess, mostly
from spavl.audit.words import cross_fitted, folds_of, sampled_groups, vectors
from spavl.validation.left_out import left_out

MAX_ROWS = 20_000  # about 10 s of long answers; whole images, or none could be contradicted as a whole
MIN_ROWS = 50
MIN_PER_LABEL = 10  # with fewer of one label its threshold is noise
MIN_GAP = 0.2  # a group is named if its share of contradicted images is this much above the others'


@dataclass(frozen=True, slots=True)
class Labelled:
    """One answer with one label, and the groups that may be wrong together."""

    id: str
    image_id: str
    text: str  # what the prediction is made from
    label: bool
    leaf: str
    domain: str
    model: str


@dataclass(frozen=True, slots=True)
class Noise:
    """Shares are 0 to 1; ids are of the rows whose label is contradicted."""

    row_share: float
    image_share: float  # images of which at least half of the rows are contradicted
    num_rows: int
    ids: tuple[str, ...]
    groups: tuple[Group, ...]  # leaves, domains and models with more contradicted images than elsewhere


def label_noise(rows: Iterable[Labelled], max_rows: int = MAX_ROWS) -> Noise | None:
    """The noise of one label; None if there are too few rows of either value to say anything."""
    ordered = sorted(rows, key=lambda row: row.id)
    ordered = [ordered[place] for place in sampled_groups([row.image_id for row in ordered], max_rows)]
    return _noise_of(ordered)


def noise_of_both(rows: Sequence[Labelled], others: Sequence[bool]) -> tuple[Noise | None, Noise | None]:
    """The noise of the rows' label and of another label of theirs: the words are counted once. Rows by id, at most MAX_ROWS."""
    features = vectors([row.text for row in rows]) if len(rows) >= MIN_ROWS else None
    relabelled = [dataclasses.replace(row, label=other) for row, other in zip(rows, others, strict=True)]
    return _noise_of(rows, features), _noise_of(relabelled, features)


def _noise_of(ordered: Sequence[Labelled], features: Any = None) -> Noise | None:
    """The same of rows that are sampled and sorted; `features` are the vectors of their texts, if they are made already."""
    num_true = sum(row.label for row in ordered)
    if len(ordered) < MIN_ROWS or min(num_true, len(ordered) - num_true) < MIN_PER_LABEL:
        return None
    is_issue = _issues(ordered, features)
    images = mostly(is_issue, [row.image_id for row in ordered])
    return Noise(
        row_share=sum(is_issue) / len(ordered),
        image_share=sum(images.values()) / len(images),
        num_rows=len(ordered),
        ids=tuple(row.id for row, issue in zip(ordered, is_issue, strict=True) if issue),
        groups=tuple(_groups(ordered, is_issue)),
    )


def _issues(rows: Sequence[Labelled], features: Any) -> list[bool]:
    labels, folds = [row.label for row in rows], folds_of([row.image_id for row in rows])
    chances = cross_fitted([row.text for row in rows], labels, folds, features)
    return contradicted([int(label) for label in labels], chances)


def contradicted(codes: Sequence[int], chances) -> list[bool]:
    """Per row, whether cleanlab prunes its label by class and by noise rate both: fewer rows than either, and fewer of them right."""
    import numpy as np

    with left_out(extras=["datasets"]):  # of cleanlab's Datalab; it alone takes half a second
        from cleanlab.filter import find_label_issues

    found = find_label_issues(np.asarray(codes), chances, filter_by="both", n_jobs=1)
    return [bool(issue) for issue in found]


def _groups(rows: Sequence[Labelled], is_issue: Sequence[bool]) -> list[Group]:
    """By leaf and domain over images, by model over its (image, model) units; only those in excess."""
    made: list[Group] = []
    for kind in ("leaf", "domain", "model"):
        names = [getattr(row, kind) for row in rows]
        units = mostly(is_issue, [(name, row.image_id) for name, row in zip(names, rows, strict=True)])
        of_unit = [f"{kind}={name}" for name, _ in units]
        made += [g for g in groups_in_excess(list(units.values()), of_unit, min_gap=MIN_GAP) if g.is_excess]
    return made
