"""Asks one model the items of a shard and matches its answers to them by id: what every stage that asks models does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from spavl.config import ModelSpec
from spavl.inference.request import Answer, Request
from spavl.stage import Chunk, WorkItem

Row = TypeVar("Row")


def ask(
    spec: ModelSpec,
    revision: str,
    chunks: Iterator[Chunk],
    request_of: Callable[[WorkItem, int], Request],
    row_of: Callable[[WorkItem, Answer], Row],
) -> Iterator[Row]:
    """The rows of all items, as the answers arrive.

    `request_of` gets an item and its chunk's number when the backend pulls the request, so that images are read no earlier;
    the request's id is the item's. An item is remembered until its answer comes, so memory follows what is in flight.
    """
    from spavl.inference import open_model

    waiting: dict[str, WorkItem] = {}

    def requests() -> Iterator[Request]:
        for chunk in chunks:
            for item in chunk.items:
                waiting[item.id] = item
                yield request_of(item, chunk.number)

    with open_model(spec, revision) as model:
        for answer in model.answer(requests()):
            yield row_of(waiting.pop(answer.id), answer)
