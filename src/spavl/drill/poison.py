"""What one poison of the catalogue is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spavl.drill.changes import Change, Setting, Weights, first_stage


@dataclass(frozen=True)
class Poison:
    """One named way to spoil a night.

    `is_undone` looks at the dataset's image splits and at the images: a poison that the line itself made harmless (copies
    put beside their originals) has not been let through.
    """

    name: str
    family: str
    says: str  # what is wrong, in one sentence
    changes: Sequence[Change] = field(default=())
    num_nights: int = 1  # nights that it may take until it is stopped
    is_first_night: bool = False  # nothing was published before: no former version, no released model
    is_undone: Callable[[Sequence[Any], Sequence[Any]], bool] | None = None

    @property
    def first_stage(self) -> str:
        """The first stage that it touches: those before it are taken from the honest night."""
        return first_stage(self.changes)

    @property
    def is_cheap(self) -> bool:
        """Whether a drill of it draws no new answers for the night's data, and trains nothing unless it comes that far."""
        trains = any(isinstance(change, Setting) and change.stage == "training" for change in self.changes)
        has_weights = any(isinstance(change, Weights) for change in self.changes)
        return self.first_stage in CHEAP_STAGES and (has_weights or not trains)


def on_the_first_night(poison: Poison) -> Poison:
    """The same poison before anything was published: what compares with a former night cannot see it."""
    return replace(
        poison,
        name=f"{poison.name}-first-night",
        says=f"{poison.says[:-1]}, on the first night.",
        is_first_night=True,
    )


CHEAP_STAGES = ("judgements", "comparisons", "preferences", "training", "evaluation")
FAMILIES = (
    "evaluation judge",
    "data judge",
    "labels",
    "images",
    "questions",
    "generators",
    "pairs",
    "splits",
    "training",
    "candidates",
)
