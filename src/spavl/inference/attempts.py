"""One request to a server, attempted until it succeeds or its attempts are used up.

Retried: 408, 409, 429, 5xx, timeouts, broken connections, unreadable replies. Not retried: any other 4xx, which is that
request's own error. Raised at once for all: 401, 403, 404 and redirects, which every request would meet.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from spavl.errors import UserError
from spavl.inference.pictures import BadPicture
from spavl.inference.request import Answer, Request
from spavl.inference.wire import UnreadableReply, chat_body, read_reply

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from tenacity import AsyncRetrying, RetryCallState

    from spavl.config import EndpointModel

FIRST_WAIT_S = 0.5  # doubles with every attempt, plus up to 0.5 s of jitter
_PASSING = {408, 409, 429}  # and every 5xx
_NOBODY_THERE = {502, 503, 504}  # a proxy's word for a server that is away
_FATAL = {401, 403, 404}


Sign = Literal["heard", "slow", "away"]  # it said something; took the request and kept silent; was not there


@dataclass(frozen=True, slots=True)
class Outcome:
    """An Answer, and what it tells of the server."""

    answer: Answer
    sign: Sign = "heard"


class Failed(Exception):
    """An attempt failed; `what` is short and holds no content."""

    def __init__(
        self, what: str, *, is_passing: bool, sign: Sign = "heard", retry_after_s: float | None = None
    ):
        super().__init__(what)
        self.what = what
        self.is_passing = is_passing
        self.sign = sign
        self.retry_after_s = retry_after_s


async def ask(client: AsyncOpenAI, spec: EndpointModel, request: Request) -> Outcome:
    """The outcome of one request after at most `spec.max_attempts`; raises UserError for what no request survives."""
    try:
        body = chat_body(request, spec)
    except BadPicture as error:
        return Outcome(Answer(request.id, None, "error", error=str(error)))
    retrying = _retrying(spec)
    try:
        answer = await retrying(_attempt, client, spec, request.id, body)
    except Failed as failure:
        error = f"{failure.what} after {_counted(_num_attempts(retrying))}"
        answer = Answer(request.id, None, "error", error=error)
        return Outcome(replace(answer, attempts=_num_attempts(retrying)), failure.sign)
    return Outcome(replace(answer, attempts=_num_attempts(retrying)))


async def _attempt(client: AsyncOpenAI, spec: EndpointModel, request_id: str, body: dict[str, Any]) -> Answer:
    from openai import APIConnectionError, APIStatusError

    # `from None` throughout: the client's errors carry request and reply, which no traceback may show
    try:
        async with asyncio.timeout(spec.timeout_s):
            raw = await client.chat.completions.with_raw_response.create(**body, extra_headers=_headers(spec))
        return read_reply(request_id, raw.content)
    except TimeoutError:
        raise Failed(f"timeout of {spec.timeout_s:g} s", is_passing=True, sign="slow") from None
    except APIStatusError as error:
        raise _status_failure(error, spec) from None
    except APIConnectionError as error:
        raise _connection_failure(error) from None
    except UnreadableReply as error:
        raise Failed(str(error), is_passing=True) from None


def _headers(spec: EndpointModel) -> dict[str, Any]:
    """Without a key of its own a server gets none, nor what OPENAI_* variables hold for another one."""
    from openai import Omit

    names = ("Authorization", "OpenAI-Organization", "OpenAI-Project")
    return {} if spec.api_key_env else {name: Omit() for name in names}


def _status_failure(error: APIStatusError, spec: EndpointModel) -> Exception:
    status = error.status_code
    if status in _FATAL or 300 <= status < 400:
        return _refusal(status, spec)
    return Failed(
        f"HTTP {status}",
        is_passing=status in _PASSING or status >= 500,
        sign="away" if status in _NOBODY_THERE else "heard",
        retry_after_s=retry_after_s(error.response.headers.get("retry-after"), time.time()),
    )


def _refusal(status: int, spec: EndpointModel) -> UserError:
    key = f"the key in {spec.api_key_env}" if spec.api_key_env else "no key (api_key_env is unset)"
    next_step = {
        401: f"It was sent {key}: check it.",
        403: f"It was sent {key}: may that key use this model?",
        404: "Check `model` and that `base_url` ends with /v1.",
    }.get(status, "Redirects are not followed: set `base_url` to the final address.")
    return UserError(
        f"model {spec.name!r}: {spec.base_url} answered HTTP {status} for the model id {spec.model!r}.",
        next_step=next_step,
    )


def _connection_failure(error: Exception) -> Failed:
    cause = type(error.__cause__).__name__
    if cause in {"ConnectError", "ConnectTimeout", "ProxyError"}:
        return Failed("no connection", is_passing=True, sign="away")
    return Failed(f"broken connection ({cause})", is_passing=True)


def _retrying(spec: EndpointModel) -> AsyncRetrying:
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

    def wait_s(state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        return pause_s(state.attempt_number, getattr(failure, "retry_after_s", None), spec.max_retry_wait_s)

    return AsyncRetrying(
        stop=stop_after_attempt(spec.max_attempts),
        wait=wait_s,
        retry=retry_if_exception(lambda error: isinstance(error, Failed) and error.is_passing),
        reraise=True,
    )


def pause_s(attempt_number: int, asked_s: float | None, max_s: float) -> float:
    """Seconds to wait after the attempt of this number (from 1): what the server asked for or a doubling backoff.

    Jitter spreads requests that failed together; it only ever lengthens the wait that a server asked for, up to `max_s`.
    """
    backoff_s = FIRST_WAIT_S * 2 ** min(attempt_number - 1, 20)
    jitter_s = random.random() * FIRST_WAIT_S  # not from a seed: the timing decides no row
    return min(max_s, (backoff_s if asked_s is None else asked_s) + jitter_s)


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds that a Retry-After header asks for, given as seconds or as an HTTP date; None where it says nothing."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = _seconds_until(header, now_s)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(http_date: str, now_s: float) -> float:
    try:
        return email.utils.parsedate_to_datetime(http_date).timestamp() - now_s
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _num_attempts(retrying: AsyncRetrying) -> int:
    return int(retrying.statistics["attempt_number"])


def _counted(num_attempts: int) -> str:
    return "1 attempt" if num_attempts == 1 else f"{num_attempts} attempts"
