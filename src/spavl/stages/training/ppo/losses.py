"""PPO's losses, estimates of KL, and how strongly KL is punished. Pure; nothing is reduced; natural logarithms.

A sum of losses is divided by the number of tokens of the whole step, on all ranks, never by that of a micro-batch: dividing by
the latter weighs an answer by its neighbours, which is how PPO comes to be right at batch 1 only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def policy_losses(
    logps: torch.Tensor, old_logps: torch.Tensor, advantages: torch.Tensor, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Clipped loss of each token, and whether clipping took its gradient away, both in the shape given.

    The ratio exp(logp - old_logp) gains nothing from leaving [1 - clip, 1 + clip] (arXiv 1707.06347, equation 7).
    """
    import torch

    ratios = torch.exp(logps - old_logps)
    plain = -advantages * ratios
    clipped = -advantages * ratios.clamp(1 - clip, 1 + clip)
    return torch.maximum(plain, clipped), clipped > plain


def value_losses(
    values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, clip: float
) -> torch.Tensor:
    """Half the squared error of each value, which gains nothing from moving further than `clip` from the old value.

    (The implementation that arXiv 1707.06347 was published with; see arXiv 2005.12729, section 3.)
    """
    import torch

    near = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (near - returns).square())


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of softmax over the last axis; logits may hold -inf, not everywhere."""
    import torch

    # finite, since 0 times infinity is no number
    logps = logits.float().log_softmax(dim=-1).clamp(min=torch.finfo(torch.float32).min)
    return -(logps.exp() * logps).sum(dim=-1)


def kl_k1(logps: torch.Tensor, ref_logps: torch.Tensor) -> torch.Tensor:
    """Estimate of KL(policy, reference) from a token that the policy chose: unbiased, and may be negative."""
    return logps - ref_logps


def kl_k3(logps: torch.Tensor, ref_logps: torch.Tensor) -> torch.Tensor:
    """Estimate of KL(policy, reference) from a token that the policy chose: unbiased, never negative, less noisy.

    exp(d) - 1 - d with d = ref_logp - logp. (J. Schulman, "Approximating KL divergence", 2020.)
    """
    import torch

    difference = ref_logps - logps
    return torch.expm1(difference) - difference


@dataclass(frozen=True)
class FixedKl:
    """The same coefficient in every iteration."""

    coef: float

    def after(self, kl: float) -> FixedKl:
        return self


@dataclass(frozen=True)
class AdaptiveKl:
    """A coefficient that follows the KL of whole answers to a target, in nats (arXiv 1909.08593, section 2.2)."""

    coef: float
    target: float
    gain: float = 0.1

    def after(self, kl: float) -> AdaptiveKl:
        """The controller of the next iteration, from the mean KL per answer of this one."""
        error = min(max((kl - self.target) / self.target, -0.2), 0.2)
        return AdaptiveKl(self.coef * (1 + self.gain * error), self.target, self.gain)
