"""Prompts that are filled in once per request: the template is looked through once, and not a million times. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from string import Template

quoted = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` makes an encoder per call


def fill(template: str, values: Mapping[str, str]) -> str:
    """What `string.Template(template).substitute(values)` gives, if every name has a value and every `$` is a name's or doubled.

    Raises KeyError for a name without value, ValueError for a stray `$`.
    """
    return "".join([values[piece] if is_name else piece for is_name, piece in _pieces(template)])


@functools.lru_cache(maxsize=32)
def _pieces(template: str) -> tuple[tuple[bool, str], ...]:
    """(whether it is a name, text or name), in order."""
    pieces, end = [], 0
    for found in Template.pattern.finditer(template):
        pieces.append((False, template[end : found.start()]))
        if name := found["named"] or found["braced"]:
            pieces.append((True, name))
        elif found["escaped"] is not None:
            pieces.append((False, "$"))
        else:
            raise ValueError(f"a stray $ at character {found.start()} of a prompt")
        end = found.end()
    return (*pieces, (False, template[end:]))
