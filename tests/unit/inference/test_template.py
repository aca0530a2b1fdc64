"""A template that is looked through once is filled in as Python's own."""

from __future__ import annotations

from string import Template

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.inference.template import fill, quoted

PIECES = st.sampled_from(["$a", "${b}", "$$", "$", "${", "$1", "words ", "\n", "a", "b", "é", "$a$b"])


@given(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=5), st.text(max_size=5))
def test_it_is_filled_in_or_refused_as_by_string_template(template: str, a: str, b: str) -> None:
    values = {"a": a, "b": b}
    try:
        expected = Template(template).substitute(values)
    except (KeyError, ValueError):
        with pytest.raises((KeyError, ValueError)):
            fill(template, values)
    else:
        assert fill(template, values) == expected


def test_a_value_that_looks_like_a_placeholder_stays_as_it_is() -> None:
    assert fill("$a and ${b} for $$1", {"a": "$b", "b": "$$"}) == "$b and $$ for $1"


def test_a_quoted_text_cannot_close_its_quotes() -> None:
    assert quoted('say "stop"\nné') == '"say \\"stop\\"\\nné"'
