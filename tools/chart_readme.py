"""Writes the table of values in charts/spavl/README.md from the `# --` lines of values.yaml: `python tools/chart_readme.py`.

A value is a key under such a line; what is below it is its default. A key without one must hold keys that have one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[1] / "charts" / "spavl"
BEGIN, END = "<!-- values: made by tools/chart_readme.py -->", "<!-- end of values -->"
KEY = re.compile(r"^( *)([A-Za-z0-9_./-]+):")
WORDS = re.compile(r"^ *# -- (.+)$")


def main() -> None:
    readme = CHART / "README.md"
    readme.write_text(
        with_table(readme.read_text("utf-8"), (CHART / "values.yaml").read_text("utf-8")), "utf-8"
    )


def with_table(readme: str, values: str) -> str:
    """The README with the table of these values between its two marks."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    rows = [f"| `{path}` | `{shown(default)}` | {words} |" for path, default, words in documented(values)]
    table = "\n".join(["| value | default | what it does |", "|---|---|---|", *rows])
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def documented(text: str) -> Iterator[tuple[str, Any, str]]:
    """Path, default and words of each value, in the order of the file. Raises ValueError for a value without words."""
    values = yaml.safe_load(text)
    parents: list[tuple[int, str]] = []
    words, inside = None, None  # inside: indentation of the value whose default is being passed over
    for line in text.splitlines():
        if found := WORDS.match(line):
            words = found[1]
        elif found := KEY.match(line):
            indent, key = len(found[1]), found[2]
            if inside is not None and indent > inside:
                continue
            parents = [parent for parent in parents if parent[0] < indent]
            path = ".".join([*(name for _, name in parents), key])
            default = _at(values, path)
            if words is None and not isinstance(default, dict):
                raise ValueError(f"{path} has no line that starts with '# --'")
            if words is not None:
                yield path, default, words
            inside = indent if words is not None else None
            parents.append((indent, key))
            words = None


def shown(default: Any) -> str:
    """A default as one short line of JSON, safe in a table."""
    text = json.dumps(default, ensure_ascii=False).replace("|", "\\|")
    return text if len(text) <= 80 else f"{text[:77]}…"


def _at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values


if __name__ == "__main__":
    main()
