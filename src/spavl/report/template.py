"""The pages' templates, with what they may say: percent, number and names that may be broken. Autoescape is on.

A template is named by its path below `spavl`, so that stages bring their own: `stages/images/report.html.j2`.
`report/templates/macros.html.j2` has what several of them say.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING

from spavl.report import words

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def style_sheet() -> str:
    """The stylesheet that is in every page."""
    return (resources.files("spavl.report") / "templates" / "page.css").read_text("utf-8")


def render(name: str, /, **values: object) -> Markup:
    """The template with these values, safe to stand in a page; a name in it that has no value is an error."""
    import markupsafe

    return markupsafe.Markup(_environment().get_template(name).render(**values))


@functools.cache
def _environment() -> Environment:
    import jinja2

    # autoescape on whatever the file is called: a template's name does not end in .html
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spavl", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=words.percent, number=words.number, breakable=_breakable)
    return environment


def _breakable(text: str) -> Markup:
    """The text, escaped, that may be broken after an underscore or a bracket: names of expectations are long."""
    import markupsafe

    escaped = str(markupsafe.escape(text))
    return markupsafe.Markup(escaped.replace("_", "_<wbr>").replace("(", "(<wbr>"))
