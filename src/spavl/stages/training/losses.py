"""Preference losses on sequence log-probabilities. Pure; natural logarithms; float32 in, float32 out.

Rafailov et al. 2023, arXiv 2305.18290 (DPO); Azar et al. 2023, arXiv 2310.12036 (IPO); margin-weighted DPO after MM-RLHF,
arXiv 2502.10391, with the judge's margin in the place of a reward model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def sigmoid_loss(log_ratio: torch.Tensor, beta: torch.Tensor | float) -> torch.Tensor:
    """DPO's loss per pair [B]: -log sigmoid(beta * log_ratio).

    `log_ratio` [B] is (chosen - reference chosen) - (rejected - reference rejected), log-probabilities summed over the
    answer's tokens. arXiv 2305.18290, equation 7.
    """
    import torch.nn.functional as F

    return -F.logsigmoid(beta * log_ratio)


def ipo_loss(
    chosen_ratio: torch.Tensor,
    rejected_ratio: torch.Tensor,
    chosen_tokens: torch.Tensor,
    rejected_tokens: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """IPO's loss per pair [B]: (h - 1 / (2 beta))^2, h the difference of the answers' mean log-ratio per token.

    arXiv 2310.12036, equation 17; the mean over tokens keeps long answers from deciding the loss, as its authors advised TRL.
    """
    h = chosen_ratio / chosen_tokens - rejected_ratio / rejected_tokens
    return (h - 1 / (2 * beta)) ** 2


def margin_beta(margin: torch.Tensor, beta: float, scale: float) -> torch.Tensor:
    """Beta of each pair [B]: beta * (1 + scale * margin), margin in 0 to 1: clear pairs move the policy further.

    After MM-RLHF, arXiv 2502.10391, section 4.2, where beta grows with a bounded function of the reward margin.
    """
    return beta * (1 + scale * margin)
