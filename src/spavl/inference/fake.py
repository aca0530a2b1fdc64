"""A stand-in for a model, for tests and fault drills: the same request id always gets the same answer.

It never serves as a fallback: a config has to name it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from spavl.inference.request import Answer, Request

if TYPE_CHECKING:
    from spavl.config import FakeModel

GARBAGE = '{"verdict": [}'  # no judge's parser takes this


class FakeBackend:
    """Answers from `spec.replies`, with the shares of errors and garbage asked for, chosen by a hash of the id."""

    def __init__(self, spec: FakeModel, revision: str) -> None:
        self.name = spec.name
        self.revision = revision
        self._spec = spec

    def __enter__(self) -> FakeBackend:
        return self

    def __exit__(self, *exc_info: object) -> None:
        return None

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """One Answer per Request, in order, each after `delay_s`."""
        for request in requests:
            if self._spec.delay_s:
                time.sleep(self._spec.delay_s)
            yield self._answer_one(request)

    def _answer_one(self, request: Request) -> Answer:
        luck = _share(request.id, "luck")
        if luck < self._spec.error_share:
            return Answer(request.id, None, "error", error="the fake model was told to fail")
        if luck < self._spec.error_share + self._spec.garbage_share:
            return _ok(request, GARBAGE)
        replies = self._replies_to(request.prompt)
        reply = replies[int(_share(request.id, "reply") * len(replies))]
        return _ok(request, reply.replace("{id}", request.id))

    def _replies_to(self, prompt: str) -> tuple[str, ...]:
        known = self._spec.replies_to.items()
        return next((replies for text, replies in known if text in prompt), self._spec.replies)


def _ok(request: Request, text: str) -> Answer:
    words = len(text.split())
    return Answer(
        request.id,
        text,
        "ok",
        finish_reason="stop",
        prompt_tokens=len(request.prompt.split()),
        completion_tokens=words,
    )


def _share(request_id: str, purpose: str) -> float:
    """A number in [0, 1) that depends on the id and the purpose alone."""
    digest = hashlib.sha256(f"{purpose}\0{request_id}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
