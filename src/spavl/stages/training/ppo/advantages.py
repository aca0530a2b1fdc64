"""From rewards and values to advantages. Pure functions on tensors of answers [N, T], padded on the right.

`mask` [N, T] bool is True on an answer's tokens, which are the first of its row, at least one. Column t is the answer's
t-th token: its log-probability, and the value of the state in which it was chosen. What the mask leaves out may hold
anything but infinities and is zero in every result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def token_rewards(
    logps: torch.Tensor, ref_logps: torch.Tensor, mask: torch.Tensor, scores: torch.Tensor, kl_coef: float
) -> torch.Tensor:
    """Reward of each token [N, T]: -kl_coef * (logp - ref_logp), and on the last one the answer's score [N] as well.

    Log-probabilities [N, T] in nats. (Ziegler et al. 2019, arXiv 1909.08593, equation 2.)
    """
    rewards = (kl_coef * (ref_logps - logps)).masked_fill(~mask, 0.0)
    last = mask.sum(dim=1, keepdim=True) - 1
    return rewards.scatter_add(1, last, scores[:, None].to(rewards.dtype))


def generalized_advantages(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, gamma: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns, both [N, T], from rewards and values [N, T] (arXiv 1506.02438, equation 16).

    Nothing follows an answer's last token, whether it is a stop token or the limit was reached: the value after it is 0.
    Returns are advantages + values, which is what values are trained towards.
    """
    import torch

    values = values.masked_fill(~mask, 0.0)
    rewards = rewards.masked_fill(~mask, 0.0)
    next_values = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    errors = rewards + gamma * next_values - values
    advantages = torch.zeros_like(errors)
    following = torch.zeros_like(errors[:, 0])
    for token in reversed(range(errors.shape[1])):
        following = errors[:, token] + gamma * lam * following
        advantages[:, token] = following
    return advantages, advantages + values


def whiten(
    values: torch.Tensor,
    mask: torch.Tensor,
    *,
    shifts_mean: bool = True,
    all_reduce: Callable[[torch.Tensor], torch.Tensor] = lambda sums: sums,
) -> torch.Tensor:
    """`values` [N, T] scaled to a variance of 1 over all tokens, and to a mean of 0 with `shifts_mean`; 0 off the mask.

    `all_reduce` adds a float64 vector over ranks, so that the statistics are those of all ranks' tokens. The variance is that
    of the population; where it is 0, so is everything that is shifted.
    """
    import torch

    kept = values.masked_fill(~mask, 0.0).double()
    total, count = all_reduce(torch.stack([kept.sum(), mask.sum().double()]))
    mean = total / count
    deviations = (kept - mean).masked_fill(~mask, 0.0)
    (squares,) = all_reduce(deviations.square().sum()[None])
    scaled = (deviations if shifts_mean else kept) * (squares / count + 1e-8).rsqrt()
    return scaled.to(values.dtype)


def explained_variance(values: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor) -> float | None:
    """1 - var(returns - values) / var(returns) over all tokens; None where the returns do not vary."""
    of_returns = returns[mask].double()
    variance = float(of_returns.var(correction=0))
    if variance == 0.0:
        return None
    return 1.0 - float((of_returns - values[mask].double()).var(correction=0)) / variance
