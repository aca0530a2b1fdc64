"""Models behind any OpenAI-compatible server: vLLM, `transformers serve`, a closed API.

Requests are pulled in the caller's thread and only as far as the window allows; an event loop in a second thread keeps
`max_concurrency` of them in flight while the caller works on the answers. Retries are `attempts.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from spavl.errors import TryAgain, UserError
from spavl.inference.attempts import Outcome, ask
from spavl.inference.request import Answer, Request

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from spavl.config import EndpointModel, VllmModel

NUM_SILENCES_BEFORE_AWAY = 20  # requests in a row without a sign of life, each after all its attempts


class EndpointBackend:
    """A model of one server; the key is read from its environment variable here and kept out of every message."""

    def __init__(self, spec: EndpointModel | VllmModel, revision: str) -> None:
        self.name = spec.name
        self.revision = revision
        self._spec = spec
        self._key = _read_key(spec)
        self._lines: set[_Line] = set()
        _check_address(spec)

    def __enter__(self) -> EndpointBackend:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for line in list(self._lines):
            line.close()
        self._lines.clear()

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """One Answer per Request, as they arrive; at most twice `max_concurrency` requests are pulled ahead.

        Closing the iterator cancels what is outstanding. Raises UserError for a refused key or an unknown model, and
        TryAgain where the server is away: rows of requests that met silence wait until it is heard again.
        """
        line = _Line(self._spec, self._key)
        self._lines.add(line)
        try:
            yield from self._hold_silences(line.outcomes(requests))
        finally:
            line.close()
            self._lines.discard(line)

    def _hold_silences(self, outcomes: Iterator[Outcome]) -> Iterator[Answer]:
        held: list[Outcome] = []
        has_heard = False
        for outcome in outcomes:
            if outcome.sign == "heard":
                has_heard = True
                yield from (silence.answer for silence in held)
                held.clear()
                yield outcome.answer
            else:
                held.append(outcome)
                if len(held) >= NUM_SILENCES_BEFORE_AWAY:
                    raise self._away(held)
        # a few last requests that are only slow are rows: trying them again for ever would never end the run
        if not has_heard and any(silence.sign == "away" for silence in held):
            raise self._away(held)
        yield from (silence.answer for silence in held)

    def _away(self, held: list[Outcome]) -> TryAgain:
        return TryAgain(
            f"model {self.name!r}: {self._spec.base_url} is away: {len(held)} requests in a row ended with"
            f" {held[-1].answer.error!r}.",
            next_step="Start the server (or raise `timeout_s` if it is only slow) and run the same command again.",
        )


class _Line:
    """An event loop in a thread, with one client; what is handed in comes back as a future on a queue."""

    def __init__(self, spec: EndpointModel | VllmModel, key: str | None) -> None:
        self._spec = spec
        self._client = _client(spec, key)
        self._slots = asyncio.Semaphore(spec.max_concurrency)
        self._settled: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"endpoint-{spec.name}", daemon=True
        )
        self._thread.start()

    def outcomes(self, requests: Iterable[Request]) -> Iterator[Outcome]:
        """Outcomes as they arrive. A request waits in the line, never in a list: the next is pulled when one has left."""
        source = iter(requests)
        max_pending = 2 * self._spec.max_concurrency
        num_pending, is_exhausted = 0, False
        while num_pending or not is_exhausted:
            while num_pending and (is_exhausted or num_pending >= max_pending or not self._settled.empty()):
                yield self._settled.get().result()
                num_pending -= 1
            if is_exhausted:
                continue
            request = next(source, None)
            if request is None:
                is_exhausted = True
            else:
                self._hand_in(request)
                num_pending += 1

    def _hand_in(self, request: Request) -> None:
        future = asyncio.run_coroutine_threadsafe(self._ask(request), self._loop)
        future.add_done_callback(self._settled.put)

    async def _ask(self, request: Request) -> Outcome:
        # the slot is kept through the pauses between attempts: a server that is overloaded gets fewer requests, not others
        async with self._slots:
            return await ask(self._client, self._spec, request)

    def close(self) -> None:
        """Cancel what is in flight, close sockets and thread; closing again does nothing."""
        if self._loop.is_closed():
            return
        try:
            asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _hang_up(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()
        await self._loop.shutdown_default_executor()


def _client(spec: EndpointModel | VllmModel, key: str | None) -> AsyncOpenAI:
    import httpx2
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    # one line per request at INFO, a hundred thousand a night
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    limits = httpx2.Limits(
        max_connections=spec.max_concurrency, max_keepalive_connections=spec.max_concurrency
    )
    return AsyncOpenAI(
        base_url=spec.base_url,
        api_key=key or "none",  # never sent: attempts.py leaves the header out
        max_retries=0,
        timeout=None,
        http_client=DefaultAsyncHttpxClient(limits=limits, timeout=None, follow_redirects=False),
    )


def _read_key(spec: EndpointModel | VllmModel) -> str | None:
    """The key, or None where the config names no variable; raises UserError where it is missing or no header value."""
    if spec.api_key_env is None:
        return None
    key = os.environ.get(spec.api_key_env, "").strip()  # a mounted secret often ends with a newline
    if not key:
        raise UserError(
            f"model {spec.name!r}: the environment variable {spec.api_key_env} is not set.",
            next_step="It must hold the key of the server.",
        )
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"model {spec.name!r}: the key in {spec.api_key_env} has characters that no header can hold."
        )
    return key


def _check_address(spec: EndpointModel | VllmModel) -> None:
    if not spec.base_url.startswith(("http://", "https://")):
        raise UserError(
            f"model {spec.name!r}: base_url {spec.base_url!r} is no address.",
            next_step="It begins with http:// or https:// and ends with /v1.",
        )
    if "@" in spec.base_url.split("/")[2]:
        raise UserError(
            f"model {spec.name!r}: base_url holds a user name or password.",
            next_step="Put the key into an environment variable and name it in api_key_env.",
        )
