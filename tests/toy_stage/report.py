"""What the report says of `captions`: how many there are, and the first ones if texts are asked for."""

from __future__ import annotations

from spavl.report.counting import count_by, rows_of
from spavl.report.section import Heading, Place, Reading, Section, Tile
from spavl.report.template import render
from spavl.report.words import number


def sections(reading: Reading) -> list[Section]:
    """One section; none before the record."""
    found = reading.tables.find(reading.run.record("captions"), ["id", "text", "outcome"])
    if found is None:
        return []
    outcomes = count_by(found, "outcome")
    query = "SELECT id, text FROM recorded ORDER BY id LIMIT 3"
    shown = rows_of(found, query) if reading.show_text else []
    html = render("stages/captions/report.html.j2", outcomes=outcomes, shown=shown)
    tile = Tile("Captions", number(sum(outcomes.values())), "one per image")
    return [Section(Place.IMAGES, html, Heading("captions", "Captions"), (tile,))]
