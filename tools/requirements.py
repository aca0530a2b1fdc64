"""Prints what pip must install for some of pyproject.toml's extras: `python3 requirements.py s3 validation`.

Images install it in a layer below the code, so that changed code does not install anything anew. Standard library only.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

_OWN_EXTRAS = re.compile(r"^spavl\[([\w,\s-]+)\]$")


def main(extras: list[str]) -> int:
    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    try:
        lines = requirements(project, extras)
    except KeyError as unknown:
        print(
            f"pyproject.toml has no extra {unknown}; it has {', '.join(project['optional-dependencies'])}.",
            file=sys.stderr,
        )
        return 2
    print("\n".join(lines))
    return 0


def requirements(project: dict, extras: list[str]) -> list[str]:
    """The package's own requirements and those of the extras, sorted; raises KeyError for an extra that is not there."""
    lines = set(project["dependencies"])
    for extra in extras:
        lines.update(_of_extra(project, extra))
    return sorted(lines)


def _of_extra(project: dict, extra: str) -> Iterator[str]:
    """An extra may name others of ours: `spavl[s3,validation]`."""
    for line in project["optional-dependencies"][extra]:
        if own := _OWN_EXTRAS.match(line):
            for name in own[1].split(","):
                yield from _of_extra(project, name.strip())
        else:
            yield line


if __name__ == "__main__":
    assert Path("pyproject.toml").exists(), "run it beside pyproject.toml"
    sys.exit(main(sys.argv[1:]))
