"""Gathers prompts that are asked one by one, at the same time, into batches for a model of the inference seam.

Inspect runs every sample as a coroutine of its own, and our backends answer iterables. A batch is asked once it is full, or
once no further prompt has come for `max_wait_s`; all samples of a batch are started together, so a batch has the same
members however often a benchmark is restarted.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from spavl.errors import SpavlError
from spavl.inference.request import Answer, Model, Request


class Collector:
    """The queue before one opened model; `failure` is what no prompt can survive (wrong key, server away), once seen."""

    def __init__(self, model: Model, max_batch: int, max_wait_s: float) -> None:
        self.model = model
        self.num_asked = 0
        self.failure: SpavlError | None = None
        self.max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._waiting: list[tuple[Request, asyncio.Future[Answer]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()
        self._one_at_a_time: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def ask(self, request: Request) -> Answer:
        """The model's answer to one request; raises the model's error if it cannot answer any."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((request, future))
        if self._timer:
            self._timer.cancel()
        wait_s = 0.0 if len(self._waiting) >= self.max_batch else self._max_wait_s
        self._timer = loop.call_later(wait_s, self._start)
        return await future

    def _start(self) -> None:
        self._timer = None
        if batch := self._waiting:
            self._waiting = []
            flush = asyncio.get_running_loop().create_task(self._flush(batch))
            self._flushes.add(flush)  # the loop keeps weak references only
            flush.add_done_callback(self._flushes.discard)

    async def _flush(self, batch: list[tuple[Request, asyncio.Future[Answer]]]) -> None:
        requests = distinct([request for request, _ in batch])
        try:
            async with self._lock():
                answers = await asyncio.to_thread(self._answer, requests)
        except BaseException as error:
            if isinstance(error, SpavlError):
                self.failure = error
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), request in zip(batch, requests, strict=True):
            if not future.done():  # a sample that ran out of time has left
                future.set_result(answers[request.id])

    def _lock(self) -> asyncio.Lock:
        """One batch in the model at a time; each benchmark has an event loop of its own."""
        loop = asyncio.get_running_loop()
        if self._one_at_a_time is None or self._one_at_a_time[0] is not loop:
            self._one_at_a_time = loop, asyncio.Lock()
        return self._one_at_a_time[1]

    def _answer(self, requests: Sequence[Request]) -> dict[str, Answer]:
        self.num_asked += len(requests)
        return {answer.id: answer for answer in self.model.answer(requests)}


def distinct(requests: Sequence[Request]) -> list[Request]:
    """The same requests, in the same order; one that is there again gets an id of its own."""
    times: dict[str, int] = {}
    renamed = []
    for request in requests:
        times[request.id] = number = times.get(request.id, 0) + 1
        renamed.append(request if number == 1 else dataclasses.replace(request, id=f"{request.id}-{number}"))
    return renamed
