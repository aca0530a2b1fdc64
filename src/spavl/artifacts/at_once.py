"""Several requests at once, their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_NUM_AHEAD = 2  # results that wait to be taken, for each request at work

T = TypeVar("T")
S = TypeVar("S")


def at_once(ask: Callable[[S], T], subjects: Iterable[S], num_at_once: int) -> Iterator[T]:
    """`ask` of each subject, in order, `num_at_once` at a time and no further ahead than a few results; its errors in place."""
    if num_at_once == 1:
        yield from map(ask, subjects)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(num_at_once) as pool:
        try:
            for subject in subjects:
                waiting.append(pool.submit(ask, subject))
                if len(waiting) >= _NUM_AHEAD * num_at_once:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
