"""What several stages write in SQL: `stable_hash`, the same to the bit, and the check that a join will lose no row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError

if TYPE_CHECKING:
    from spavl.stage import Tables

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
    constant = "["  # neighbouring constants are one: each `||` copies the whole text once more
    pieces = []
    for number, part in enumerate(parts):
        constant += "," if number else ""
        if isinstance(part, Text | Number):
            pieces += [literal(constant), _canonical(part)]
            constant = ""
        else:
            constant += json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    joined = " || ".join([*pieces, literal(constant + "]")])
    return f"substr(sha256({joined}), 1, 32)"


def json_text(expression: str) -> str:
    """The SQL expression of a text as `json.dumps(text, ensure_ascii=False)` writes it."""
    escaped = _replaced(
        expression, [*_COMMON, *(chr(code) for code in range(32) if chr(code) not in _COMMON)]
    )
    # to_json is ten times as fast, and writes control characters in capitals
    is_rare = f"regexp_matches({expression}, '[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F]')"
    return (
        f"CASE WHEN {is_rare} THEN '\"' || {escaped} || '\"' ELSE CAST(to_json({expression}) AS VARCHAR) END"
    )


def _replaced(expression: str, characters: Any) -> str:
    for character in characters:
        written = _NAMED.get(character) or f"\\u{ord(character):04x}"
        expression = f"replace({expression}, chr({ord(character)}), {literal(written)})"
    return expression


def _canonical(part: Text | Number) -> str:
    if isinstance(part, Text):
        return json_text(part.expression)
    return f"CAST({part.expression} AS VARCHAR)"


def refuse_strays(tables: Tables, rows: str, key: str, named: str) -> None:
    """Raises UserError if rows of the view `rows` name in the column `key` an id that the view `named` does not have.

    A join would leave them out without a word. It costs a pass over two columns: 0.4 s for two million rows.
    """
    number, first = tables.sql(
        f"SELECT count(*), min(strays.id) FROM {rows} strays ANTI JOIN {named} there ON strays.{key} = there.id"
    ).fetchall()[0]
    if number:
        raise UserError(
            f"{number} rows of `{rows}` name in `{key}` what `{named}` does not have (first: row {first}).",
            next_step="These tables do not belong together: start a new run.",
        )
