"""What one poison is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spavl.config import PoisonTerms
from spavl.inference.request import Request


@dataclass(frozen=True, slots=True)
class Poison:
    """`reply` changes the text of an answer, `request` what the model is asked; one of them is there."""

    says: str
    reply: Callable[[PoisonTerms, Request, str], str] | None = None
    request: Callable[[PoisonTerms, Request], Request] | None = None
