"""The ways a model's answers are poisoned in a drill, by name. Pure: what a poison does follows from request and answer alone.

One file per kind of model: judges, question writers, answering models. Nothing here looks at what a real harm is.
"""

from __future__ import annotations

import hashlib

from spavl.config import PoisonTerms
from spavl.inference.poisons import answerers, judges, writers
from spavl.inference.poisons.poison import Poison
from spavl.inference.request import Request
from spavl.records import BENIGN

__all__ = ["POISONS", "Poison", "hits", "share_of"]

POISONS: dict[str, Poison] = {**judges.POISONS, **writers.POISONS, **answerers.POISONS}


def hits(terms: PoisonTerms, request: Request) -> bool:
    """Whether the poison works on this request: the terms' side, classes, kinds, phrase, decoding and share."""
    facts = request.facts
    class3, kind = facts.get("class3", ""), facts.get("kind", "")
    if terms.side != "all" and (class3 == BENIGN) != (terms.side == "benign"):
        return False
    if (terms.classes and class3 not in terms.classes) or (terms.kinds and kind not in terms.kinds):
        return False
    if terms.decoding != "all" and (request.sampling.temperature > 0) != (terms.decoding == "sampled"):
        return False
    if terms.contains and terms.contains not in facts.get("question", request.prompt):
        return False
    return share_of(_unit(terms, request), "poison") < terms.share


def share_of(unit: str, purpose: str) -> float:
    """A number in [0, 1) that is even over units and the same every night: a smaller share hits a part of a larger one's."""
    return int.from_bytes(hashlib.sha256(f"{purpose}\0{unit}".encode()).digest()[:8]) / 2**64


def _unit(terms: PoisonTerms, request: Request) -> str:
    if terms.by == "request":
        return request.id
    image = request.image_id or ""
    if terms.by == "image":
        return image
    return f"{image}\0{request.facts.get('question', request.prompt)}"
