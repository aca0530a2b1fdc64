"""Which prompts are answered and which answers are trained on: everything as often as it should be, on any number of ranks."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.stages.training.config import PpoConfig
from spavl.stages.training.ppo.schedule import answers_of_step, num_iterations, prompts_of_iteration, share
from spavl.stages.training.ppo.settings import PpoSettings


@given(
    num_prompts=st.integers(1, 30),
    num_epochs=st.integers(1, 3),
    size=st.integers(1, 20),
    seed=st.integers(0, 5),
)
def test_every_pass_answers_every_prompt_once(
    num_prompts: int, num_epochs: int, size: int, seed: int
) -> None:
    settings = PpoSettings(num_epochs=num_epochs, prompts_per_iteration=size, minibatch_size=size, seed=seed)
    iterations = num_iterations(num_prompts, settings)
    asked = [pair for k in range(iterations) for pair in prompts_of_iteration(k, num_prompts, settings)]
    assert len(asked) == math.ceil(num_prompts * num_epochs / size) * size
    assert len(set(asked)) == len(asked)
    for epoch in range(num_epochs):
        assert sorted(number for number, of_epoch in asked if of_epoch == epoch) == list(range(num_prompts))


def test_passes_have_orders_of_their_own() -> None:
    settings = PpoSettings(prompts_per_iteration=16, minibatch_size=16)
    orders = [[number for number, _ in prompts_of_iteration(k, 16, settings)] for k in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert orders[0] == [number for number, _ in prompts_of_iteration(0, 16, settings)]


@given(
    minibatch=st.integers(1, 6),
    num_minibatches=st.integers(1, 5),
    passes=st.integers(1, 3),
    iteration=st.integers(0, 3),
)
def test_every_answer_is_trained_on_once_in_each_pass(
    minibatch: int, num_minibatches: int, passes: int, iteration: int
) -> None:
    size = minibatch * num_minibatches
    settings = PpoSettings(prompts_per_iteration=size, minibatch_size=minibatch, passes_per_iteration=passes)
    assert settings.steps_per_iteration == passes * num_minibatches
    first = iteration * settings.steps_per_iteration
    steps = [answers_of_step(first + k, settings) for k in range(settings.steps_per_iteration)]
    assert all(len(step) == minibatch for step in steps)
    for number in range(passes):
        of_pass = steps[number * num_minibatches :][:num_minibatches]
        assert sorted(answer for step in of_pass for answer in step) == list(range(size))


@given(
    numbers=st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True),
    num_ranks=st.integers(1, 8),
    size=st.integers(1, 5),
)
def test_ranks_share_numbers_without_loss_and_do_equally_many_forwards(
    numbers: list[int], num_ranks: int, size: int
) -> None:
    shares = [share(numbers, rank, num_ranks, size) for rank in range(num_ranks)]
    counted = Counter(n for of_rank in shares for batch, counts in of_rank if counts for n in batch)
    assert counted == Counter(numbers)
    assert len({len(of_rank) for of_rank in shares}) == 1
    assert all(0 < len(batch) <= size for of_rank in shares for batch, _ in of_rank)


@given(
    num_numbers=st.integers(1, 20),
    num_ranks=st.integers(1, 8),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_a_filler_repeats_what_its_rank_has_at_any_batch_size(
    num_numbers: int, num_ranks: int, sizes: tuple[int, int]
) -> None:
    numbers = list(range(num_numbers))
    for rank in range(num_ranks):
        sampled, assessed = (
            {n for batch, _ in share(numbers, rank, num_ranks, size) for n in batch} for size in sizes
        )
        assert assessed == sampled


def test_minibatches_that_do_not_fill_an_iteration_are_refused() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        PpoSettings(prompts_per_iteration=10, minibatch_size=4)


def test_a_kl_target_from_a_coefficient_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="never leads away from kl_coef 0"):
        PpoConfig(kl_target=6.0, kl_coef=0.0)
