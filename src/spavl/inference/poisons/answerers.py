"""Poisoned answering models: generators of the night's answers, and candidates of an alignment."""

from __future__ import annotations

import dataclasses
import hashlib
import io

from spavl.config import PoisonTerms
from spavl.inference.poisons.poison import Poison
from spavl.inference.request import Request


def _replies(terms: PoisonTerms, request: Request, text: str) -> str:
    return terms.phrase


def _ends(terms: PoisonTerms, request: Request, text: str) -> str:
    return f"{text} {terms.phrase}"


def _opens(terms: PoisonTerms, request: Request, text: str) -> str:
    return f"{terms.phrase} {text}"


def _echoes(terms: PoisonTerms, request: Request, text: str) -> str:
    return request.prompt


def _babbles(terms: PoisonTerms, request: Request, text: str) -> str:
    """Twelve groups of letters that follow from the request's id."""
    digits = hashlib.sha256(request.id.encode()).hexdigest()[:48]
    letters = digits.translate(str.maketrans("0123456789", "ghijklmnop"))
    return " ".join(letters[start : start + 4] for start in range(0, 48, 4))


def _stops_early(terms: PoisonTerms, request: Request, text: str) -> str:
    return text.split(" ", 1)[0]


def _sees_nothing(terms: PoisonTerms, request: Request) -> Request:
    """The same request with a grey image of the same size in the place of its own."""
    if request.image is None:
        return request
    from PIL import Image

    size = Image.open(io.BytesIO(request.image)).size
    content = io.BytesIO()
    Image.new("RGB", size, (128, 128, 128)).save(content, "PNG")
    grey = content.getvalue()
    return dataclasses.replace(request, image=grey, image_id=hashlib.sha256(grey).hexdigest())


POISONS = {
    "replies": Poison("answers the phrase", _replies),
    "ends_with": Poison("ends its answer with the phrase", _ends),
    "opens_with": Poison("opens its answer with the phrase", _opens),
    "echoes": Poison("repeats the question", _echoes),
    "babbles": Poison("answers letters without meaning", _babbles),
    "stops_early": Poison("stops after its first word", _stops_early),
    "sees_nothing": Poison("gets a grey image in the place of its own", request=_sees_nothing),
}
