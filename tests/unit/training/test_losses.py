"""Each loss at points that can be worked out by hand."""

import math

import pytest
import torch

from spavl.stages.training.losses import ipo_loss, margin_beta, sigmoid_loss


def test_dpo_of_no_difference_is_log_two():
    assert sigmoid_loss(torch.tensor([0.0]), 0.1).item() == pytest.approx(math.log(2))


def test_dpo_falls_as_the_chosen_answer_gains():
    # -log sigmoid(0.1 x 10) = log(1 + e^-1)
    assert sigmoid_loss(torch.tensor([10.0, -10.0]), 0.1).tolist() == pytest.approx(
        [math.log1p(math.exp(-1)), math.log1p(math.exp(1))]
    )


def test_ipo_is_nothing_where_the_gap_per_token_is_one_over_two_beta():
    # chosen gains 20 over 2 tokens, rejected 15 over 3: h = 10 - 5 = 5 = 1 / (2 x 0.1)
    chosen, rejected = torch.tensor([20.0]), torch.tensor([15.0])
    assert ipo_loss(chosen, rejected, torch.tensor([2.0]), torch.tensor([3.0]), 0.1).item() == pytest.approx(
        0.0
    )
    assert ipo_loss(chosen, rejected, torch.tensor([4.0]), torch.tensor([3.0]), 0.1).item() == pytest.approx(
        25.0
    )


def test_beta_grows_with_the_margin():
    assert margin_beta(torch.tensor([0.0, 0.5, 1.0]), 0.1, 0.5).tolist() == pytest.approx([0.1, 0.125, 0.15])
