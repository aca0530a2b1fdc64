"""Which prompts are answered in an iteration, and which answers make a step on which rank. Pure: numbers and a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from spavl.stages.training.ppo.settings import PpoSettings


def num_iterations(num_prompts: int, settings: PpoSettings) -> int:
    """Iterations that cover the epochs; the last one goes on into another pass where it would be short."""
    return math.ceil(num_prompts * settings.num_epochs / settings.prompts_per_iteration)


def prompts_of_iteration(iteration: int, num_prompts: int, settings: PpoSettings) -> list[tuple[int, int]]:
    """(number of the prompt, pass over the prompts) of each answer; every pass has an order of its own."""
    first = iteration * settings.prompts_per_iteration
    orders: dict[int, list[int]] = {}
    chosen = []
    for place in range(first, first + settings.prompts_per_iteration):
        epoch, number = divmod(place, num_prompts)
        if epoch not in orders:
            orders[epoch] = _shuffled(num_prompts, f"{settings.seed}/prompts/{epoch}")
        chosen.append((orders[epoch][number], epoch))
    return chosen


def answers_of_step(step: int, settings: PpoSettings) -> list[int]:
    """Numbers, within their iteration, of the answers that a 0-based step trains on."""
    iteration, place = divmod(step, settings.steps_per_iteration)
    per_pass = settings.prompts_per_iteration // settings.minibatch_size
    number_of_pass, minibatch = divmod(place, per_pass)
    order = _shuffled(settings.prompts_per_iteration, f"{settings.seed}/answers/{iteration}/{number_of_pass}")
    return order[minibatch * settings.minibatch_size :][: settings.minibatch_size]


def share(numbers: Sequence[int], rank: int, num_ranks: int, size: int) -> list[tuple[list[int], bool]]:
    """One rank's part of the numbers in batches of at most `size`, and whether a batch counts: fillers do not.

    Equally many batches on every rank, at least one.
    """
    mine = list(numbers[rank::num_ranks])
    most = math.ceil(len(numbers) / num_ranks)
    batches = [(mine[start : start + size], True) for start in range(0, len(mine), size)]
    # a rank's own number where it has one: whatever was made of it before is at hand
    fillers = [((mine or list(numbers))[:1], False)] * (max(1, math.ceil(most / size)) - len(batches))
    return batches + fillers


def _shuffled(size: int, seed: str) -> list[int]:
    order = list(range(size))
    random.Random(seed).shuffle(order)
    return order
