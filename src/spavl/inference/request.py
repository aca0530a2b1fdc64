"""What is asked of a model and what comes back: the two words every backend and every stage share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One user turn: an optional image, then text. Backends answer by `id`, in any order."""

    id: str
    prompt: str
    image: bytes | None = None  # encoded (PNG, JPEG, WEBP)
    image_id: str | None = None  # sha256 of the bytes: backends sort and cache by it
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    response_schema: Mapping[str, Any] | None = (
        None  # JSON schema the reply should follow, where the server can
    )
    facts: Mapping[str, str] = field(
        default_factory=dict
    )  # for rule-based backends only; never leaves the process
    chunk: int = 0  # requests of two chunks never share a batch, so a resumed shard gives the same answers


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply, or the reason why none came. There is exactly one per request: none is ever lost."""

    id: str
    text: str | None  # None unless outcome is "ok"
    outcome: str  # "ok" or "error"
    error: str | None = None  # short and without content: "HTTP 500 after 5 attempts", "timeout after 30 s"
    finish_reason: str | None = None  # "stop", "length"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    attempts: int = 1


class Model(Protocol):
    """An opened model. Use as a context manager: leaving it frees sockets, threads and memory."""

    name: str
    revision: str

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Stream one Answer per Request, in any order. Requests are pulled lazily: only a bounded number wait inside."""
        ...

    def __enter__(self) -> Model: ...

    def __exit__(self, *exc_info: object) -> None: ...
