"""Texts without the blanks at their ends, and how long they are, in SQL: as Python's `str.strip` and `len` say."""

from __future__ import annotations

from spavl.sql import literal

BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())  # none lies beyond


def stripped(expression: str) -> str:
    """The SQL expression of a text without the blanks at its ends; NULL stays NULL."""
    return _with_blanks_gone(expression, "{}")


def num_chars(expression: str) -> str:
    """The SQL expression of the number of code points of the stripped text; NULL stays NULL."""
    return _with_blanks_gone(expression, "length({})")


def _with_blanks_gone(expression: str, use: str) -> str:
    # trim looks at every character, which costs six times what looking at both ends does; hardly a text has blanks there
    blanks = literal(BLANKS)
    has_blanks = f"contains({blanks}, {expression}[1]) OR contains({blanks}, {expression}[-1])"
    trimmed = use.format(f"trim({expression}, {blanks})")
    return f"CASE WHEN {has_blanks} THEN {trimmed} ELSE {use.format(expression)} END"
