"""Great Expectations' pages made whole: nothing from the web, no script, one style of ours, a way back to the first page.

Its pages are drawn by Bootstrap, Font Awesome and jQuery from five hosts. Of each page only the body is kept, and of that
only the tags and attributes named here, so that whatever a later version adds is left out until someone lets it in.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

TAGS = {"div", "nav", "section", "p", "span", "a", "ul", "ol", "li", "strong", "em", "b", "i", "code", "pre", "small", "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "br", "hr", "blockquote"}  # fmt: skip
ATTRIBUTES = {"id", "class", "href", "hidden", "colspan", "rowspan", "aria-hidden"}
VOID_TAGS = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "track",
    "wbr",
}
# left out with everything in them; any other unknown tag goes and its text stays
DROPPED_TAGS = {"head", "script", "style", "noscript", "iframe", "object", "svg", "footer", "form", "button", "label", "select", "textarea", "template", "video", "audio"}  # fmt: skip
DROPPED_CLASSES = {"sticky-top", "btn-group", "modal", "ge-walkthrough-modal"}
ACTIONS_CARD = "card mb-3"  # the frame of the filter buttons, which are scripts
_LOCAL_LINK = re.compile(r"(?![\w+.-]+:|//|\\)")


def offline_page(gx_page: str, *, title: str, note: str, home: str, style: str) -> str:
    """The page with the body of `gx_page` under a title and a note; `home` is the relative link to the first page."""
    from markupsafe import Markup

    body = _Body()
    body.feed(gx_page)
    body.close()
    return template("page.html.j2").render(
        title=title, note=note, home=home, style=style, body=Markup("".join(body.kept))
    )


def template(name: str) -> Any:
    """One of the templates beside this module, everything escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spavl.validation", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template(name)


def _breakable(text: str) -> Any:
    """`type(columns)`, escaped, that may be broken within the type and behind the bracket, but not within a column."""
    from markupsafe import Markup, escape

    kind, bracket, columns = text.partition("(")
    return Markup(str(escape(kind)).replace("_", "_<wbr>") + bracket + "<wbr>" + str(escape(columns)))


class _Body(HTMLParser):
    """Collects what is kept of a page's body in `kept`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.kept: list[str] = []
        self._dropping = ""  # the tag whose end is awaited
        self._depth = 0  # of that tag within itself

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropping:
            self._depth += tag == self._dropping
        elif tag not in VOID_TAGS and _is_dropped(tag, dict(attrs)):
            self._dropping, self._depth = tag, 1
        elif tag in TAGS:
            self.kept.append(f"<{tag}{''.join(_attribute(*attr) for attr in attrs)}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID_TAGS:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            self._depth -= tag == self._dropping
            if not self._depth:
                self._dropping = ""
        elif tag in TAGS and tag not in VOID_TAGS:
            self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self.kept.append(html.escape(data, quote=False))

    def handle_entityref(self, name: str) -> None:
        if not self._dropping:
            self.kept.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        if not self._dropping:
            self.kept.append(f"&#{name};")


def _is_dropped(tag: str, attrs: dict[str, str | None]) -> bool:
    classes = attrs.get("class") or ""
    return (
        tag in DROPPED_TAGS
        or classes == ACTIONS_CARD
        or not DROPPED_CLASSES.isdisjoint(classes.split())
        or attrs.get("data-toggle") == "collapse"  # what it would unfold is shown
    )


def _attribute(name: str, value: str | None) -> str:
    """The attribute with its leading space, or nothing where it is not kept: a link that leaves the site is only text."""
    if name not in ATTRIBUTES or (name == "href" and not _LOCAL_LINK.match((value or "").strip())):
        return ""
    return f" {name}" if value is None else f' {name}="{html.escape(value)}"'
