"""Losses of the reward model, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from spavl.learning.reward_losses import centering_losses, cost_losses, pairwise_losses

CHOSEN, REJECTED = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([0.0, 0.5, 1.0])


def test_the_pairwise_loss_falls_with_the_difference() -> None:
    # log(1 + exp(-d)) for d = 2, 0, -2
    expected = [math.log(1 + math.exp(-2)), math.log(2), math.log(1 + math.exp(2))]
    assert pairwise_losses(CHOSEN, REJECTED).tolist() == pytest.approx(expected, rel=1e-6)


def test_a_margin_is_a_difference_that_does_not_count() -> None:
    margins = torch.tensor([2.0, 0.0, 1.0])
    expected = [math.log(2), math.log(2), math.log(1 + math.exp(3))]
    assert pairwise_losses(CHOSEN, REJECTED, margins).tolist() == pytest.approx(expected, rel=1e-6)


def test_the_gradient_is_the_probability_of_the_wrong_order() -> None:
    chosen = CHOSEN.clone().requires_grad_()
    pairwise_losses(chosen, REJECTED).sum().backward()
    expected = [-1 / (1 + math.exp(2)), -0.5, -1 / (1 + math.exp(-2))]
    assert chosen.grad.tolist() == pytest.approx(expected, rel=1e-6)


def test_huge_differences_give_no_infinity() -> None:
    losses = pairwise_losses(torch.tensor([500.0, -500.0]), torch.tensor([-500.0, 500.0]))
    assert losses.tolist() == [0.0, 1000.0]


def test_centering_is_the_squared_sum() -> None:
    assert centering_losses(CHOSEN, REJECTED).tolist() == [4.0, 1.0, 0.0]


def test_the_cost_is_a_cross_entropy_where_the_label_is_known() -> None:
    logits = torch.tensor([0.0, 2.0, 2.0, -3.0], requires_grad=True)
    is_unsafe = torch.tensor([True, True, False, True])
    is_known = torch.tensor([True, True, True, False])
    losses = cost_losses(logits, is_unsafe, is_known)
    expected = [math.log(2), math.log(1 + math.exp(-2)), math.log(1 + math.exp(2)), 0.0]
    assert losses.tolist() == pytest.approx(expected, rel=1e-6)
    losses.sum().backward()
    assert logits.grad[3].item() == 0.0
