"""What the report says of `dataset`: the splits of the version that was made of the pairs."""

from __future__ import annotations

from spavl.report import counting, words
from spavl.report.reading import RecordedTables, RunState
from spavl.report.section import Place, Reading, Section
from spavl.report.template import render


def sections(reading: Reading) -> list[Section]:
    """One section; none before the record."""
    found = splits(reading.tables, reading.run)
    return [Section(Place.PAIRS, render("stages/dataset/report.html.j2", splits=found))] if found else []


def splits(tables: RecordedTables, run: RunState) -> list[dict[str, str]]:
    """Rows, images and benign share per split of the dataset version, in its order; empty if there is none."""
    found = tables.find(run.record("dataset"), ["split", "image_id", "is_benign"], is_ordered=True)
    if found is None:
        return []
    counted = counting.rows_of(
        found,
        """WITH numbered AS (SELECT row_number() OVER () AS number, split, image_id, is_benign FROM recorded)
        SELECT split, count(*) AS num_rows, count(DISTINCT image_id) AS num_images,
            count(*) FILTER (is_benign) AS num_benign
        FROM numbered GROUP BY split ORDER BY min(number)""",
    )
    return [
        {
            "split": words.count_name(row["split"]),
            "rows": words.number(row["num_rows"]),
            "images": words.number(row["num_images"]),
            "benign": words.percent(counting.share(row["num_benign"], row["num_rows"])),
        }
        for row in counted
    ]
