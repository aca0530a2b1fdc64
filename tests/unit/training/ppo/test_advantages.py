"""Token rewards, advantages and whitening: by hand, against a slow loop, and whatever the numbers are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.stages.training.ppo.advantages import (
    explained_variance,
    generalized_advantages,
    token_rewards,
    whiten,
)


def mask_of(lengths: Sequence[int], width: int | None = None) -> torch.Tensor:
    return torch.arange(width or max(lengths)) < torch.tensor(lengths)[:, None]


def drawn(lengths: Sequence[int], seed: int, width: int | None = None) -> torch.Tensor:
    """Numbers everywhere, also where the mask of `lengths` is False."""
    shape = len(lengths), width or max(lengths)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_advantages(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """One answer, from the definition: sum over l of (gamma lam)^l * error at t + l."""
    after = [*values[1:], 0.0]
    errors = [r + gamma * n - v for r, n, v in zip(rewards, after, values, strict=True)]
    return [
        math.fsum((gamma * lam) ** (k - t) * errors[k] for k in range(t, len(errors)))
        for t in range(len(errors))
    ]


def test_rewards_are_the_punished_kl_and_the_score_on_the_last_token() -> None:
    logps = torch.tensor([[-1.0, -2.0, -3.0], [-0.5, 7.0, 7.0]])
    ref_logps = torch.tensor([[-1.5, -2.0, -1.0], [-1.0, 9.0, 9.0]])
    rewards = token_rewards(logps, ref_logps, mask_of([3, 1]), torch.tensor([4.0, -2.0]), kl_coef=0.1)
    torch.testing.assert_close(rewards, torch.tensor([[-0.05, 0.0, 4.2], [-2.05, 0.0, 0.0]]))


def test_advantages_by_hand() -> None:
    # gamma 0.5, lam 0.5. errors: 1 + 0.5 * 3 - 2 = 0.5; 0 + 0.5 * 1 - 3 = -2.5; 2 + 0 - 1 = 1
    # advantages, backwards: 1; -2.5 + 0.25 = -2.25; 0.5 - 0.25 * 2.25 = -0.0625
    rewards, values = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[2.0, 3.0, 1.0]])
    advantages, returns = generalized_advantages(rewards, values, mask_of([3]), 0.5, 0.5)
    assert advantages.tolist() == [[-0.0625, -2.25, 1.0]]
    assert returns.tolist() == [[1.9375, 0.75, 2.0]]


def test_with_gamma_and_lambda_1_returns_are_the_rewards_to_come() -> None:
    rewards, values = torch.tensor([[0.5, -1.0, 3.0]]), torch.tensor([[9.0, -4.0, 2.0]])
    _, returns = generalized_advantages(rewards, values, mask_of([3]), 1.0, 1.0)
    assert returns.tolist() == [[2.5, 2.0, 3.0]]


def test_nothing_is_expected_after_the_last_token() -> None:
    # the second column is padding with a tempting value
    advantages, returns = generalized_advantages(
        torch.tensor([[1.0, 50.0]]), torch.tensor([[0.25, 100.0]]), mask_of([1], 2), 1.0, 1.0
    )
    assert advantages.tolist() == [[0.75, 0.0]]
    assert returns.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("gamma,lam", [(1.0, 1.0), (0.99, 0.95), (0.9, 0.0), (0.0, 0.5)])
def test_advantages_are_those_of_a_slow_loop(gamma: float, lam: float) -> None:
    lengths = [7, 1, 4, 12]
    rewards, values, mask = drawn(lengths, 0), drawn(lengths, 1), mask_of(lengths)
    advantages, returns = generalized_advantages(rewards, values, mask, gamma, lam)
    for row, length in enumerate(lengths):
        of_row = values[row, :length].tolist()
        expected = slow_advantages(rewards[row, :length].tolist(), of_row, gamma, lam)
        assert advantages[row, :length].tolist() == pytest.approx(expected, abs=1e-12)
        assert returns[row, :length].tolist() == pytest.approx(np.add(expected, of_row), abs=1e-12)
    assert not advantages[~mask].any() and not returns[~mask].any()


answers = st.lists(st.integers(1, 9), min_size=1, max_size=6)
shares = st.floats(0.0, 1.0)


@given(lengths=answers, gamma=shares, lam=shares, seed=st.integers(0, 99), room=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_an_answers_advantages_depend_on_no_other_answer_and_no_padding(
    lengths: list[int], gamma: float, lam: float, seed: int, room: int
) -> None:
    width = max(lengths) + room
    rewards, values = drawn(lengths, seed, width), drawn(lengths, seed + 1000, width)
    together = generalized_advantages(rewards, values, mask_of(lengths, width), gamma, lam)[0]
    for row, length in enumerate(lengths):
        here = slice(row, row + 1), slice(0, length)
        alone = generalized_advantages(rewards[here], values[here], mask_of([length]), gamma, lam)[0]
        assert torch.equal(together[here], alone)


@given(lengths=answers, gamma=shares, lam=shares, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_perfect_values_leave_no_advantage(lengths: list[int], gamma: float, lam: float, seed: int) -> None:
    rewards, mask = drawn(lengths, seed), mask_of(lengths)
    nothing = torch.zeros_like(rewards)
    perfect = generalized_advantages(rewards, nothing, mask, gamma, 1.0)[1]
    advantages, returns = generalized_advantages(rewards, perfect, mask, gamma, lam)
    torch.testing.assert_close(advantages, nothing, rtol=0, atol=1e-9)
    torch.testing.assert_close(returns, perfect, rtol=0, atol=1e-9)


def test_whitening_by_hand() -> None:
    # 1, 3, 5, 7: mean 4, variance 5
    values = torch.tensor([[1.0, 3.0, 5.0], [7.0, 99.0, 99.0]])
    mask = mask_of([3, 1])
    root = math.sqrt(5)
    shifted, scaled = whiten(values, mask), whiten(values, mask, shifts_mean=False)
    torch.testing.assert_close(shifted, torch.tensor([[-3.0, -1.0, 1.0], [3.0, 0.0, 0.0]]) / root)
    torch.testing.assert_close(scaled, torch.tensor([[1.0, 3.0, 5.0], [7.0, 0.0, 0.0]]) / root)


def test_equal_advantages_whiten_to_nothing() -> None:
    assert whiten(torch.full((2, 3), 5.0), mask_of([3, 2])).tolist() == [[0.0] * 3] * 2


@given(lengths=answers, seed=st.integers(0, 99), cut=st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_ranks_whiten_their_parts_as_one_whole(lengths: list[int], seed: int, cut: int) -> None:
    values, mask = drawn(lengths, seed), mask_of(lengths)
    whole = whiten(values, mask)
    parts = [rows for rows in (slice(0, cut), slice(cut, None)) if len(values[rows])]
    # what a real all-reduce gives to every rank: first the totals of all parts, then the squares
    totals = torch.tensor([float(values[mask].sum()), float(mask.sum())], dtype=torch.float64)
    squares = (values[mask] - totals[0] / totals[1]).square().sum()[None]
    for rows in parts:
        reduced = iter([totals, squares])
        part = whiten(values[rows], mask[rows], all_reduce=lambda _, reduced=reduced: next(reduced))
        torch.testing.assert_close(part, whole[rows], rtol=1e-9, atol=1e-9)


def test_explained_variance_by_hand() -> None:
    returns = torch.tensor([[1.0, 3.0, 5.0, 7.0, -50.0]])  # variance 5
    values = torch.tensor([[2.0, 2.0, 6.0, 6.0, 90.0]])  # errors -1, 1, -1, 1: variance 1
    assert explained_variance(values, returns, mask_of([4], 5)) == pytest.approx(0.8)
    assert explained_variance(values, torch.ones(1, 5), mask_of([5])) is None
