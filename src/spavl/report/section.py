"""What a stage says on the page of a run: its sections, where they stand, and what it gets to make them of.

A stage brings them with a function `sections(reading) -> list[Section]` in its `report.py`. Every stage of the map is asked,
also one that the run does not have: a section can say that something was not measured.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from spavl.artifacts.store import Store
from spavl.report.reading import RecordedTables, RunState

if TYPE_CHECKING:
    from markupsafe import Markup


class Place(enum.Enum):
    """The parts of the page, from the top. In one part the stages stand in the order of the map."""

    DECISION = "decision"  # what was decided about the model, and on what grounds
    TRIALS = (
        "trials"  # under the heading "The judges on trial": what each said of answers whose reading is known
    )
    AGREEMENT = "agreement"  # under the same heading, after the trials: whether judges agree
    # here the page has the table of stages and the checks
    LEARNING = "learning"  # how models were trained
    PAIRS = "pairs"  # under the heading "Preference pairs": the pairs and the dataset version made of them
    ANSWERS = "answers"  # what models answered and how the judge read it
    IMAGES = "images"  # what the night began with, and what is said of it
    EXAMPLES = "examples"  # single rows
    LINEAGE = "lineage"  # under the heading "Lineage", before the fingerprints


class Heading(NamedTuple):
    """A heading of the second level; the anchor is unique on the page."""

    anchor: str
    title: str


@dataclass(frozen=True)
class Tile:
    """A figure in the head of the page. The page shows those of DECISION if there are any, else all others."""

    label: str
    value: str
    note: str
    before: str = ""  # the value that it was, such as the base model's


@dataclass(frozen=True)
class Section:
    """One section. Its html comes from `report.template.render`: any other text is escaped by the page."""

    place: Place
    html: Markup
    heading: Heading | None = None  # without one it stands under the heading before it
    tiles: tuple[Tile, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What sections are made of: the run, and the tables that its records list."""

    store: Store
    run: RunState
    tables: RecordedTables
    show_text: bool = (
        False  # texts of questions and answers were asked for; else not even their columns are read
    )
