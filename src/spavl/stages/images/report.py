"""What the report says of `images`: how many of each class were accepted, and why others were set aside."""

from __future__ import annotations

from typing import Any

from spavl.records import BENIGN
from spavl.report import counting, words
from spavl.report.classes import plot_per_class
from spavl.report.reading import RecordedTables, RunState
from spavl.report.section import Heading, Place, Reading, Section, Tile
from spavl.report.template import render


def sections(reading: Reading) -> list[Section]:
    """One section; none before the record."""
    found = images(reading.tables, reading.run)
    if found is None:
        return []
    tile = Tile("Images accepted", found["total"], f"{found['benign']} benign")
    html = render("stages/images/report.html.j2", images=found)
    return [Section(Place.IMAGES, html, Heading("images", "Images"), (tile,))]


def images(tables: RecordedTables, run: RunState) -> dict[str, Any] | None:
    """Accepted images per class, and why others were set aside; None before the record."""
    record = run.record("images")
    accepted = tables.find(record, ["class1"])
    if accepted is None:
        return None
    per_class = counting.count_by(accepted, "class1")
    set_aside = tables.find(record, ["reason"], "quarantine")
    reasons = counting.count_by(set_aside, "reason") if set_aside is not None else {}
    total = sum(per_class.values())
    return {
        "plot": plot_per_class(per_class, "Images"),
        "total": words.number(total),
        "benign": words.percent(counting.share(per_class.get(BENIGN, 0), total), 0),
        "quarantine": [
            (words.count_name(str(reason)), words.number(count)) for reason, count in reasons.items()
        ],
    }
