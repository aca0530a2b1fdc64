"""What a SELECT gives, kept on this disk for the step: it is made once, and a later join reads it without making it again."""

from __future__ import annotations

from pathlib import Path

from spavl.sql import literal
from spavl.stage import Tables

ROWS_PER_GROUP = 16_384  # of texts some 15 MB: what the writer holds per thread


def keep(tables: Tables, scratch: Path, name: str, query: str) -> None:
    """Make the view `name` of the query's rows, which are written to `scratch`."""
    file = str(scratch / f"{name}.parquet")
    tables.sql(query).write_parquet(file, row_group_size=ROWS_PER_GROUP)
    tables.view(name, f"SELECT * FROM read_parquet({literal(file)})")
