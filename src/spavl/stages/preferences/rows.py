"""The rows of `preferences`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preference:
    """A pair ready for training: chosen is better than rejected."""

    id: str  # hash of (question id, chosen response id, rejected response id)
    question_id: str
    image_id: str
    class1: str
    class2: str
    class3: str
    kind: str
    is_benign: bool
    question: str
    chosen: str
    rejected: str
    chosen_response: str
    rejected_response: str
    chosen_model: str
    rejected_model: str
    chosen_group: int
    rejected_group: int
    decided_by: str  # one of AXES
    margin: float  # 0 to 1: share of askings won by chosen minus share won by rejected, the deciding axis counted twice
    agreement: float  # 0 to 1: share of the axes on which both orders named the same winner
    comparisons: tuple[str, ...]  # comparison ids
    chosen_is_unsafe: bool | None = None  # the judge's label, seeing the image; None where it gave none
    rejected_is_unsafe: bool | None = None
