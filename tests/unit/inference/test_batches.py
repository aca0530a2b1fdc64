"""Batches depend on the chunk alone: not on order, neighbours, or what is left to do."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from spavl.inference.batches import batches, noise_seed
from spavl.inference.request import Request, Sampling

REQUEST_FACTS = st.tuples(st.sampled_from([None, b"1", b"2"]), st.sampled_from([0.0, 1.0]), st.integers(0, 3))


def made(facts: list[tuple[bytes | None, float, int]]) -> list[Request]:
    requests = [
        Request(f"r{number}", "p", image=image, sampling=Sampling(temperature=temperature), chunk=chunk)
        for number, (image, temperature, chunk) in enumerate(facts)
    ]
    return sorted(requests, key=lambda request: request.chunk)


@given(st.lists(REQUEST_FACTS, max_size=40), st.integers(1, 9))
def test_every_request_is_in_one_batch_of_its_own_kind(facts: list, batch_size: int) -> None:
    requests = made(facts)
    cut = list(batches(requests, batch_size))
    assert Counter(request.id for batch in cut for request in batch) == Counter(
        request.id for request in requests
    )
    for batch in cut:
        assert 1 <= len(batch) <= batch_size
        assert len({(request.chunk, request.sampling, request.image is None) for request in batch}) == 1


@given(st.lists(REQUEST_FACTS, max_size=40), st.integers(0, 3), st.randoms())
def test_a_chunk_alone_is_cut_as_among_others(facts: list, chunk: int, luck: random.Random) -> None:
    requests = made(facts)
    alone = [request for request in requests if request.chunk == chunk]
    luck.shuffle(alone)
    expected = [batch for batch in batches(requests, 4) if batch[0].chunk == chunk]
    assert list(batches(alone, 4)) == expected


def test_requests_of_one_image_are_neighbours() -> None:
    requests = [Request(f"r{number}", "p", image=bytes([number % 3])) for number in range(9)]
    images = [request.image for batch in batches(requests, 4) for request in batch]
    assert len([image for image, _ in itertools.groupby(images)]) == 3


def test_one_chunk_is_pulled_at_a_time() -> None:
    pulled = []

    def requests() -> Iterator[Request]:
        for number in range(5000):
            pulled.append(number)
            yield Request(f"r{number}", "p", chunk=number // 10 if number < 100 else 10)

    cut = batches(requests(), 4)
    next(cut)
    assert len(pulled) == 11  # the first of the next chunk shows where this one ends
    for batch in cut:
        if batch[0].chunk == 10:
            break
    assert len(pulled) <= 100 + 1024 + 1


def test_the_seed_follows_ids_and_sampling_seed_alone() -> None:
    batch = [Request("a", "p"), Request("b", "q")]
    seed = noise_seed(batch)
    assert seed == noise_seed([Request("a", "other words"), Request("b", "q")])
    assert 0 <= seed < 2**63
    assert seed != noise_seed(batch[:1])
    assert seed != noise_seed([Request(request.id, "p", sampling=Sampling(seed=1)) for request in batch])
