"""The README says what the code does: the stage table is the map, every path it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spavl.__main__ import _parser
from spavl.pipeline import STAGES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_stage_table_is_the_map() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| `(\w+)` \| (\w+) \|$", README, flags=re.MULTILINE)
    expected = [(stage.name, ", ".join(stage.reads) or "–", stage.writes, stage.runs_on) for stage in STAGES]
    assert rows == expected


def test_every_place_in_the_tree_exists() -> None:
    tree = README.split("## Where things are")[1].split("```")[1]
    for line in tree.strip().splitlines():
        name = line.split()[0]
        folder = ROOT / "src" / "spavl" if line.startswith("  ") else ROOT
        assert (folder / name).exists(), f"the README names {name}"


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), f"the README links to {target}"


@pytest.mark.parametrize("line", re.findall(r"^\$ spavl (.+?)(?:\s+#.*)?$", README, flags=re.MULTILINE))
def test_every_command_shown_is_understood(line: str) -> None:
    import shlex

    assert _parser().parse_args(shlex.split(line)).command


def test_both_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^\$ make (\w+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_every_event_in_the_table_is_shown_by_a_test_that_exists() -> None:
    table = README.split("No worker slot is held")[1].split("These run in")[0]
    named = re.findall(r"`(test_\w+)`", table)
    written = "".join(path.read_text("utf-8") for path in (ROOT / "tests" / "faults").glob("*.py"))
    assert len(named) >= 10
    assert [name for name in named if f"def {name}(" not in written] == []


@pytest.mark.parametrize("page", ["README.md", "docs/kubernetes.md"])
def test_every_heading_linked_to_exists(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target, anchor in re.findall(r"\]\(((?!https?://)[^)#]*)#([^)]+)\)", text):
        other = (ROOT / page).parent / target if target else ROOT / page
        headings = re.findall(r"^#+ (.+)$", other.read_text("utf-8"), flags=re.MULTILINE)
        slugs = [re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert anchor in slugs, f"{page} links to {target}#{anchor}"
