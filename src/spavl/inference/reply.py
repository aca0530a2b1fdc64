"""Models' replies to "answer with one JSON object", read defensively: the object, or None; never an exception, never a guess.

Tolerated: code fences, words around the object, a `<think>` part before it, raw line breaks in strings. Not tolerated,
because what was meant is unclear: an object that breaks off, a repeated key, NaN.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_REPLY_CHARS = 200_000  # longer replies are runaway generations; reading them would only cost time

_OBJECT_START = re.compile(r"\{(?=\s*[\"}])")


def parse_json_reply(text: str) -> dict[str, Any] | None:
    """The first JSON object in a reply, or None where there is none or it is broken."""
    text = text.rpartition("</think>")[2]
    start = _OBJECT_START.search(text)
    if start is None or len(text) > MAX_REPLY_CHARS:
        return None
    # Looking further behind a broken object would find a part of it and take that for the whole
    try:
        found, _ = _DECODER.raw_decode(text, start.start())
        if "\\u" in text or not text.isascii():
            json.dumps(found, ensure_ascii=False).encode()  # lone surrogates cannot be stored
    except (ValueError, RecursionError):
        return None
    return found


def storable(text: str) -> str:
    """The text with lone surrogates (half of a character) replaced by '?': UTF-8 and Parquet cannot hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is repeated")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant, strict=False)
