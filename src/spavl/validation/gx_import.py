"""Great Expectations, imported without what no check of ours uses: half of the time and 100 MB less.

Most of that import is not its own. scipy.stats and altair serve expectations that the catalogue does not have; SQLAlchemy and
boto3 belong to its optional extras.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

from spavl.validation.left_out import left_out

PUT_OFF = ("altair", "scipy.stats")
EXTRAS = ("boto3", "botocore", "sqlalchemy")


def great_expectations() -> Any:
    """The module. Call it before importing anything below it."""
    if "great_expectations" not in sys.modules:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        with left_out(extras=EXTRAS, put_off=PUT_OFF), _no_collection():
            import great_expectations  # noqa: F401
    return sys.modules["great_expectations"]


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Looking through a growing heap for garbage, again and again, is a quarter of the import; what is imported is no garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
