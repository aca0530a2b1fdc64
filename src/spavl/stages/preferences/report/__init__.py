"""What the report says of `preferences`: the pairs, and some of them as examples."""

from __future__ import annotations

from spavl.report.section import Heading, Place, Reading, Section, Tile
from spavl.report.template import render
from spavl.stages.preferences.report.examples import examples
from spavl.stages.preferences.report.pairs import pairs


def sections(reading: Reading) -> list[Section]:
    """The pairs and the examples; none before the record."""
    return [*_pairs(reading), *_examples(reading)]


def _pairs(reading: Reading) -> list[Section]:
    found = pairs(reading.tables, reading.run)
    if found is None:
        return []
    tile = Tile("Preference pairs", found["total"], f"{found['benign']} benign")
    html = render("stages/preferences/report/pairs.html.j2", pairs=found)
    return [Section(Place.PAIRS, html, tiles=(tile,))]


def _examples(reading: Reading) -> list[Section]:
    found = examples(reading.tables, reading.run, show_text=reading.show_text)
    if not found:
        return []
    html = render("stages/preferences/report/examples.html.j2", examples=found, show_text=reading.show_text)
    return [Section(Place.EXAMPLES, html, Heading("examples", "Example rows"))]
