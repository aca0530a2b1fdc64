"""PPO's losses, KL estimates and controllers, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from spavl.stages.training.ppo.losses import (
    AdaptiveKl,
    FixedKl,
    entropy,
    kl_k1,
    kl_k3,
    policy_losses,
    value_losses,
)

RATIOS = [1.0, 1.5, 0.5, 1.5, 0.5, 1.1]
ADVANTAGES = [2.0, 2.0, 2.0, -2.0, -2.0, -2.0]


def test_the_policy_loss_gains_nothing_outside_the_clip() -> None:
    logps = torch.tensor(RATIOS).log().requires_grad_()
    losses, is_clipped = policy_losses(logps, torch.zeros(6), torch.tensor(ADVANTAGES), clip=0.2)
    # a good token counts up to 1.2, a bad one down to 0.8; what makes things worse counts in full
    assert losses.tolist() == pytest.approx([-2.0, -2.4, -1.0, 3.0, 1.6, 2.2])
    assert is_clipped.tolist() == [False, True, False, False, True, False]
    losses.sum().backward()
    # d/dlogp of -A * ratio is -A * ratio where it is not clipped
    assert logps.grad.tolist() == pytest.approx([-2.0, 0.0, -1.0, 3.0, 0.0, 2.2])


def test_the_value_loss_takes_the_worse_of_the_value_and_the_value_near_the_old_one() -> None:
    # old value 0, clip 0.2; return 1: moving to 0.9 counts as 0.2; return -1: moving to 0.9 counts in full
    values = torch.tensor([0.1, 0.9, 0.9], requires_grad=True)
    returns = torch.tensor([1.0, 1.0, -1.0])
    losses = value_losses(values, torch.zeros(3), returns, clip=0.2)
    assert losses.tolist() == pytest.approx([0.5 * 0.9**2, 0.5 * 0.8**2, 0.5 * 1.9**2])
    losses.sum().backward()
    assert values.grad.tolist() == pytest.approx([-0.9, 0.0, 1.9])


def test_entropy_of_known_distributions() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [5.0, 5.0, -math.inf, -math.inf], [3.0, *[-math.inf] * 3]])
    assert entropy(logits).tolist() == pytest.approx([math.log(4), math.log(2), 0.0], abs=1e-6)
    quarter = torch.tensor([0.5, 0.25, 0.25]).log()
    assert entropy(quarter).item() == pytest.approx(1.5 * math.log(2))


def test_both_kl_estimates_have_the_exact_kl_as_their_mean() -> None:
    policy, reference = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    exact = float((policy * (policy / reference).log()).sum())
    for estimate in (kl_k1, kl_k3):
        of_tokens = estimate(policy.log(), reference.log())
        assert float((policy * of_tokens).sum()) == pytest.approx(exact, rel=1e-5)
    assert kl_k1(policy.log(), reference.log()).min() < 0 <= kl_k3(policy.log(), reference.log()).min()


def test_small_differences_keep_their_precision_in_k3() -> None:
    # half the square of the difference; exp(d) - 1 - d in float32 would give noise
    assert kl_k3(torch.tensor(-1.0), torch.tensor(-1.001)).item() == pytest.approx(5e-7, rel=0.2)


def test_a_fixed_coefficient_stays() -> None:
    assert FixedKl(0.1).after(100.0).coef == 0.1


def test_an_adaptive_coefficient_follows_its_target() -> None:
    controller = AdaptiveKl(0.2, target=6.0)
    assert controller.after(6.0).coef == 0.2
    assert controller.after(6.6).coef == pytest.approx(0.2 * 1.01)
    assert controller.after(60.0).coef == pytest.approx(0.2 * 1.02)  # the error counts up to 0.2
    assert controller.after(0.0).coef == pytest.approx(0.2 * 0.98)
    assert controller.after(60.0).after(60.0).coef == pytest.approx(0.2 * 1.02**2)
