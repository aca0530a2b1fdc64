"""What the trainer trains: an objective gives the work of each step, and the loss of each piece of it.

The trainer (`trainer.py`) owns everything else: optimizer, ranks, precision, checkpoints, resuming, metrics, stopping. DPO,
the reward model and PPO are objectives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StepLoss:
    """The loss of one forward, and what it adds to the step's metrics."""

    # scalar, to be differentiated: this forward's part of the step's loss. The parts of all forwards on all ranks add up to
    # the step's loss: sums over pairs are divided by the number of pairs of the whole step, never by that of a forward
    loss: torch.Tensor
    # metric name -> (sum, weight): over forwards and ranks both are added up, and the metric is sum / weight
    sums: Mapping[str, tuple[torch.Tensor | float, torch.Tensor | float]] = field(default_factory=dict)
    num_samples: float = 0  # of this forward, for the speed; a filler has none
    num_tokens: float = 0  # positions that the model read, padding not counted


class Objective(Protocol):
    """A fixed list of steps; the same for any number of ranks."""

    @property
    def num_steps(self) -> int:
        """Optimizer updates in the whole run."""
        ...

    def epoch_of(self, step: int) -> float:
        """Passes over the pairs after `step` (1-based) updates; for the log."""
        ...

    def forwards(self, step: int, rank: int, num_ranks: int) -> Sequence[Any]:
        """What this rank forwards in 0-based `step`: equally many on every rank (fillers have no weight), at least one.

        Called in the data loader, maybe in another process: no model here.
        """
        ...

    def loss(self, model: Any, forward: Any) -> StepLoss:
        """Forward one piece through the wrapped model; called in the trainer's precision and on its device."""
        ...

    def before_step(self, model: Any, step: int) -> None:
        """Called on every rank before the forwards of 0-based `step`, the model in training mode: PPO makes rollouts here."""
        ...

    def may_save_after(self, step: int) -> bool:
        """Whether a checkpoint after `step` (1-based) updates can be gone on from: nothing is lost that it does not hold."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """An objective that learns something beside the model; a checkpoint holds it, and a resumed run begins with it."""

    def state(self) -> dict[str, Any]:
        """What the next step needs of those before it: plain JSON, the same on every rank."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Begin with it; raises ValueError where something is missing."""
        ...
