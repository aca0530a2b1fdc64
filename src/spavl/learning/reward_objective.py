"""Training a reward model on preference pairs: the Bradley-Terry loss, and a cost learnt from the judge's safety labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.learning.objective import StepLoss
from spavl.learning.pair_steps import PairSteps
from spavl.learning.pictures import Pictures
from spavl.learning.reward_losses import centering_losses, cost_losses, pairwise_losses
from spavl.learning.reward_model import COST, REWARD, answer_scores
from spavl.learning.steps import PairForward

if TYPE_CHECKING:
    import torch

Sums = dict[str, tuple["torch.Tensor | float", "torch.Tensor | float"]]


@dataclass(frozen=True)
class RewardTerms:
    """The weights of the loss's terms."""

    margin_weight: float = (
        0.0  # reward by which a pair with the judge's margin 1 must differ; 0 is plain Bradley-Terry
    )
    centering_weight: float = 0.0  # of (chosen + rejected)^2: keeps the rewards around 0
    cost_weight: float = 1.0  # of the cross-entropy of the cost, where there is one


class RewardObjective:
    """An `Objective`; the loss of a step is a mean over its pairs, of the cost over its answers, labelled or not."""

    def __init__(
        self,
        steps: PairSteps,
        pictures: Pictures,
        outputs: Sequence[str],
        terms: RewardTerms = RewardTerms(),
    ) -> None:
        self._steps = steps
        self._pictures = pictures
        self._outputs = tuple(outputs)
        self._classes = steps.classes  # of all pairs: every rank names the same metrics in every step
        self._terms = terms

    @property
    def num_steps(self) -> int:
        return self._steps.num_steps

    def epoch_of(self, step: int) -> float:
        return self._steps.epoch_of(step)

    def forwards(self, step: int, rank: int, num_ranks: int) -> list[PairForward]:
        return self._steps.forwards(step, rank, num_ranks)

    def before_step(self, model: Any, step: int) -> None:
        """Pairs need nothing before their step."""

    def may_save_after(self, step: int) -> bool:
        return True

    def loss(self, model: Any, forward: PairForward) -> StepLoss:
        """The loss of some pairs, and their share in the metrics."""
        num_pairs = len(forward.pairs)
        arguments = self._pictures.arguments(model, forward)
        scores = answer_scores(model, forward.forward, arguments, 2 * num_pairs)
        rewards = scores[:, self._outputs.index(REWARD)]
        chosen, rejected = rewards[0::2], rewards[1::2]
        margins = rewards.new_tensor([pair.margin for pair in forward.pairs]) * self._terms.margin_weight
        losses = pairwise_losses(chosen, rejected, margins)
        losses = losses + self._terms.centering_weight * centering_losses(chosen, rejected)
        share = forward.weight / forward.num_step_pairs
        loss, sums = losses.sum() * share, self._reward_sums(chosen.detach(), rejected.detach(), forward)
        if COST in self._outputs:
            of_cost, cost_sums = self._cost(scores[:, self._outputs.index(COST)], forward)
            loss, sums = loss + self._terms.cost_weight * of_cost * share / 2, sums | cost_sums
        num_samples, num_tokens = forward.weight * num_pairs, forward.weight * forward.num_tokens
        return StepLoss(loss, sums, num_samples=num_samples, num_tokens=num_tokens)

    def _reward_sums(self, chosen: torch.Tensor, rejected: torch.Tensor, forward: PairForward) -> Sums:
        """Rewards and accuracies over pairs, accuracies also for each class."""
        weight, is_right = forward.weight, (chosen > rejected).float()
        num_pairs = weight * len(forward.pairs)
        sums: Sums = {
            "rewards/chosen": (weight * chosen.sum(), num_pairs),
            "rewards/rejected": (weight * rejected.sum(), num_pairs),
            "rewards/margins": (weight * (chosen - rejected).sum(), num_pairs),
            "rewards/accuracies": (weight * is_right.sum(), num_pairs),
        }
        for name in self._classes:
            of_class = is_right.new_tensor([float(pair.class1 == name) for pair in forward.pairs]) * weight
            sums[f"rewards/accuracies/{name}"] = ((is_right * of_class).sum(), of_class.sum())
        return sums

    def _cost(self, logits: torch.Tensor, forward: PairForward) -> tuple[torch.Tensor, Sums]:
        """Cross-entropy of the cost, summed over answers [2 x pairs], and its share in the metrics."""
        import torch

        labels = [
            label for pair in forward.pairs for label in (pair.chosen_is_unsafe, pair.rejected_is_unsafe)
        ]
        is_unsafe = torch.tensor([label is True for label in labels], device=logits.device)
        is_known = torch.tensor([label is not None for label in labels], device=logits.device)
        of_cost = cost_losses(logits, is_unsafe, is_known).sum()
        is_right = is_known & ((logits > 0) == is_unsafe)
        num_known = forward.weight * is_known.sum()
        return of_cost, {
            "cost/loss": (forward.weight * of_cost.detach(), num_known),
            "cost/accuracies": (forward.weight * is_right.sum(), num_known),
        }
