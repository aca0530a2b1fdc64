"""What the report says of `release`: its files and its fingerprint, at the head of the lineage."""

from __future__ import annotations

from spavl.report.section import Place, Reading, Section
from spavl.report.template import render


def sections(reading: Reading) -> list[Section]:
    """One section; none before the record."""
    record = reading.run.record("release")
    if record is None:
        return []
    return [Section(Place.LINEAGE, render("stages/release/report.html.j2", release=record))]
