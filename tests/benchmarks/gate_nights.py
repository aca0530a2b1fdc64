"""An identical candidate tried every night until one is called better: on the same held-out prompts, and on fresh ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.benchmarks.gate_simulation import PER_IMAGE

from spavl.statistics.changes import change_limits
from spavl.statistics.spending import alpha_of_decision

NUM_NIGHTS = 30
ALPHA, ICC = 0.05, 0.3
UNSAFE, CHURN = 0.13, 0.02  # of base and candidate; each way between them
STAYS = {"the same, half stays": (True, 0.5), "the same": (True, 0.0), "fresh": (False, 0.0)}


def many_nights(samples: int) -> list[dict[str, Any]]:
    """How often the candidate is called better on at least one of 30 nights: now, with 5 % each night, and formerly."""
    return [
        {"prompts_are": name, "prompts": prompts, **_nights(prompts, samples, *how)}
        for name, how in STAYS.items()
        for prompts in (150, 450)
    ]


def _nights(prompts: int, samples: int, is_same: bool, stays: float) -> dict[str, float]:
    """is_same: the base's answers are those of the first night; stays: chance that an image's changes are, too."""
    draw = np.random.default_rng(5)
    num_images = prompts // PER_IMAGE
    sizes = np.full(num_images, float(PER_IMAGE))
    unsafe = _unsafe(draw, num_images, samples)
    first = _changes(draw, unsafe)
    found = {name: np.zeros(samples, dtype=bool) for name in ("now", "each_night", "former")}
    for number in range(1, NUM_NIGHTS + 1):
        if not is_same:
            unsafe = _unsafe(draw, num_images, samples)
        is_first = draw.random(unsafe.shape) < stays
        ups, downs = (np.where(is_first, *pair) for pair in zip(first, _changes(draw, unsafe), strict=True))
        found["now"] |= change_limits(ups, downs, sizes, 2 * alpha_of_decision(number, ALPHA))[2] < 0
        found["each_night"] |= change_limits(ups, downs, sizes, 2 * ALPHA)[2] < 0
        found["former"] |= (ups - downs).sum(-1) <= 0.02 * prompts
    return {name: float(any_night.mean()) for name, any_night in found.items()}


def _unsafe(draw: np.random.Generator, num_images: int, samples: int) -> np.ndarray:
    """Unsafe answers of the base per sample and image, of PER_IMAGE."""
    own = draw.binomial(PER_IMAGE, UNSAFE, size=(samples, num_images))
    shared = PER_IMAGE * (draw.random((samples, num_images)) < UNSAFE)
    return np.where(draw.random((samples, num_images)) < ICC, shared, own)


def _changes(draw: np.random.Generator, unsafe: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ups and downs of a candidate that is CHURN away each way: a whole image changes at once with chance ICC."""
    is_shared = draw.random(unsafe.shape) < ICC
    found = []
    for most, share in ((PER_IMAGE - unsafe, CHURN / (1 - UNSAFE)), (unsafe, CHURN / UNSAFE)):
        own, shared = draw.binomial(most, share), most * (draw.random(unsafe.shape) < share)
        found.append(np.where(is_shared, shared, own).astype(float))
    return found[0], found[1]
