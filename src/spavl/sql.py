"""`stable_hash` written in SQL, so that the engine makes the ids of a million rows in a second: the same hash to the bit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_NAMED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_COMMON = ("\\", '"', "\n", "\r", "\t")  # the backslash first: it is in what the others become


@dataclass(frozen=True, slots=True)
class Text:
    """An SQL expression that gives a text, never NULL."""

    expression: str


@dataclass(frozen=True, slots=True)
class Number:
    """An SQL expression that gives a whole number, never NULL."""

    expression: str


def literal(value: str | int | float | bool | None) -> str:
    """A constant as SQL writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return repr(value)
    return "'" + value.replace("'", "''") + "'"


def stable_hash_sql(*parts: Any) -> str:
    """The SQL expression of `records.stable_hash(*parts)`; a part is a JSON value, `Text` or `Number`."""
    pieces = [_canonical(part) for part in parts]
    joined = " || ',' || ".join(pieces)
    return f"substr(sha256('[' || {joined} || ']'), 1, 32)"


def json_text(expression: str) -> str:
    """The SQL expression of a text as `json.dumps(text, ensure_ascii=False)` writes it."""
    escaped = _replaced(expression, _COMMON)
    rare = [chr(code) for code in range(32) if chr(code) not in _COMMON]
    is_rare = f"regexp_matches({expression}, '[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F]')"
    return f"('\"' || CASE WHEN {is_rare} THEN {_replaced(escaped, rare)} ELSE {escaped} END || '\"')"


def _replaced(expression: str, characters: Any) -> str:
    for character in characters:
        written = _NAMED.get(character) or f"\\u{ord(character):04x}"
        expression = f"replace({expression}, chr({ord(character)}), {literal(written)})"
    return expression


def _canonical(part: Any) -> str:
    if isinstance(part, Text):
        return json_text(part.expression)
    if isinstance(part, Number):
        return f"CAST({part.expression} AS VARCHAR)"
    return literal(json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
