"""All steps of a run over preference pairs, with their images: what DPO and the reward model have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spavl.learning.pictures import Pictures
from spavl.learning.steps import EncodedPair, Layout, PairForward, cut_steps, share_of


@dataclass(frozen=True)
class Course:
    """What decides the order of the pairs."""

    num_epochs: float
    global_batch_size: int
    seed: int
    group_by_image: bool


class PairSteps:
    """The part of an `Objective` that only pairs decide."""

    def __init__(
        self, pairs: Sequence[EncodedPair], course: Course, layout: Layout, pictures: Pictures
    ) -> None:
        self._pairs = pairs
        self._layout = layout
        self._pictures = pictures
        self._per_epoch = max(1, -(-len(pairs) // course.global_batch_size))
        self._steps = (
            cut_steps(
                pairs,
                num_epochs=course.num_epochs,
                global_batch_size=course.global_batch_size,
                seed=course.seed,
                group_by_image=course.group_by_image,
            )
            if pairs
            else []
        )

    @property
    def num_steps(self) -> int:
        return len(self._steps)

    @property
    def classes(self) -> list[str]:
        """Every first level of the harm class that occurs, sorted."""
        return sorted({pair.class1 for pair in self._pairs})

    def epoch_of(self, step: int) -> float:
        """Passes over the pairs after `step` (1-based) updates."""
        return step / self._per_epoch

    def step_pairs(self, step: int) -> list[EncodedPair]:
        """The pairs of a 0-based step."""
        return [self._pairs[number] for number in self._steps[step]]

    def forwards(self, step: int, rank: int, num_ranks: int) -> list[PairForward]:
        """One rank's forwards of a 0-based step, with their images."""
        share = share_of(self.step_pairs(step), rank, num_ranks, self._layout)
        return [self._pictures.attach(forward) for forward in share]
