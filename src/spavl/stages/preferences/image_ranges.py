"""Work on all rows of a night done image range by image range, so that what the engine holds at once does not grow with the night."""

from __future__ import annotations

from spavl.sql import literal
from spavl.stage import Tables


def image_ranges(tables: Tables, view: str, rows_at_once: int) -> list[str]:
    """Conditions on image_id, in order, each for about as many rows of the view; one of them holds for every image.

    Reads the view `images`, whose images are taken to have equally many rows.
    """
    num_rows = tables.value(f"SELECT count(*) FROM {view}")
    num_ranges = max(1, -(-num_rows // rows_at_once))
    last = tables.sql(
        f"""SELECT max(id) FROM (SELECT id, ntile({num_ranges}) OVER (ORDER BY id) AS part FROM images)
        GROUP BY part ORDER BY part"""
    )
    bounds = [literal(image) for (image,) in last.fetchall()][:-1]
    above = ["TRUE", *(f"image_id > {bound}" for bound in bounds)]
    below = [*(f"image_id <= {bound}" for bound in bounds), "TRUE"]
    return [f"{low} AND {high}" for low, high in zip(above, below, strict=True)]
