"""An engine whose views are rows of a test: what SQL of a stage is tried on."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spavl.artifacts.engine import Engine
from spavl.artifacts.store import open_store
from spavl.pipeline import BY_NAME
from spavl.records import to_table
from spavl.stages import row_type_of


def made_tables(**rows: Sequence[Any]) -> Engine:
    """Views by name: a stage's name stands for its row type; under another name give at least one row."""
    folder = Path(tempfile.mkdtemp(prefix="spavl-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    engine = Engine(open_store(f"file://{folder / 'store'}"), folder, folder / "cache", num_threads=1)
    for name, of_view in rows.items():
        row_type = row_type_of(name) if name in BY_NAME else type(of_view[0])
        engine.view(name, to_table(of_view, row_type))
    return engine
