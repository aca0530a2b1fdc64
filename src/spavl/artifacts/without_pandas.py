"""Keeps pyarrow from importing pandas, which it does at the first list that it converts: 0.3 CPU s and 60 MB of a short process."""

from __future__ import annotations

import sys
from typing import Any


class _Hidden:
    """A finder before all others that knows of no pandas."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not looked for here", name=name)


def convert_without_pandas() -> None:
    """Let pyarrow look for pandas now and find none. What asks for it afterwards, `to_pandas` too, still gets it.

    Only for processes that give pyarrow no pandas objects. Without effect if pandas is imported already.
    """
    import pyarrow as pa

    finder = _Hidden()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
