"""The pages' templates, with what they may say: percent, number and names that may be broken. Autoescape is on."""

from __future__ import annotations

from importlib import resources
from typing import Any

from spavl.report import words


def style_sheet() -> str:
    """The stylesheet that is in every page."""
    return (resources.files("spavl.report") / "templates" / "page.css").read_text("utf-8")


def template(name: str) -> Any:
    """A template of this package; an unknown name in it is an error."""
    import jinja2

    # autoescape on whatever the file is called: the template's name does not end in .html
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spavl.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=words.percent, number=words.number, breakable=_breakable)
    return environment.get_template(name)


def _breakable(text: str) -> Any:
    """The text, escaped, that may be broken after an underscore or a bracket: names of expectations are long."""
    import markupsafe

    escaped = str(markupsafe.escape(text))
    return markupsafe.Markup(escaped.replace("_", "_<wbr>").replace("(", "(<wbr>"))
