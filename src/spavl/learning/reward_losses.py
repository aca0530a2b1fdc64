"""Losses of a reward model on tensors: no model, no text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def pairwise_losses(
    chosen: torch.Tensor, rejected: torch.Tensor, margins: torch.Tensor | None = None
) -> torch.Tensor:
    """Bradley-Terry loss of each pair [P] float32: -log sigmoid(chosen - rejected - margin), natural logarithm.

    Rewards [P]; margins [P] are in units of reward and at least 0 (as in Llama 2, arXiv 2307.09288): a pair that the
    judge was sure of must differ by more. Not reduced.
    """
    import torch

    difference = chosen - rejected if margins is None else chosen - rejected - margins
    return -torch.nn.functional.logsigmoid(difference)


def centering_losses(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """(chosen + rejected) squared, for each pair [P]: pairs alone leave the zero of the reward open (arXiv 2312.09244)."""
    return (chosen + rejected).square()


def cost_losses(logits: torch.Tensor, is_unsafe: torch.Tensor, is_known: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of each answer [N] float32 from the logit of being unsafe; 0 where the label is not known.

    `is_unsafe` and `is_known` are bool [N]. Natural logarithm, not reduced. (The
    sign of Safe RLHF's cost, arXiv 2310.12773: above 0 is harmful.)
    """
    import torch

    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, is_unsafe.to(logits.dtype), reduction="none"
    )
    return torch.where(is_known, losses, losses.new_zeros(()))
