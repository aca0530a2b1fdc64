"""How requests are cut into batches: always the same way, so a resumed shard gives the same answers.

A batch never crosses a chunk and is cut before anything can fail, so neither restarts nor bad requests move its borders.
Sampling noise is seeded by the batch's own ids, so it does not depend on what ran before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from spavl.inference.request import Request

MAX_PULLED = 1024  # requests of one chunk that are sorted at a time; a chunk without end stays bounded


def batches(requests: Iterable[Request], batch_size: int) -> Iterator[list[Request]]:
    """Batches of at most `batch_size` requests of one chunk and one sampling, all with or all without an image.

    Inside a chunk requests are sorted by image, whatever order they came in.
    """
    for _, chunk in itertools.groupby(requests, key=lambda request: request.chunk):
        while pulled := list(itertools.islice(chunk, MAX_PULLED)):
            for _, alike in itertools.groupby(sorted(pulled, key=_order), key=_kind):
                while batch := list(itertools.islice(alike, batch_size)):
                    yield batch


def noise_seed(batch: Sequence[Request]) -> int:
    """Seed of a batch's sampling noise: a hash of the sampling seed and the ids, below 2**63."""
    named = "\0".join([str(batch[0].sampling.seed), *(request.id for request in batch)])
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "big") >> 1


def _kind(request: Request) -> tuple[Any, ...]:
    return request.image is None, *dataclasses.astuple(request.sampling)


def _order(request: Request) -> tuple[Any, ...]:
    return *_kind(request), _image_key(request), request.id


def _image_key(request: Request) -> str:
    if request.image is None:
        return ""
    return request.image_id or hashlib.sha256(request.image).hexdigest()
