"""A short process converts lists without pandas, and has it as soon as it is asked for."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import pyarrow as pa
from spavl.artifacts.without_pandas import convert_without_pandas

convert_without_pandas()
table = pa.table({"a": ["x", None], "b": [1, 2]})
table["b"].to_numpy()
assert "pandas" not in sys.modules
assert table.to_pandas()["b"].sum() == 3
assert pa.Table.from_pandas(table.to_pandas())["b"].to_pylist() == [1, 2]
import pandas
print("done")
"""


def test_pandas_is_imported_when_it_is_asked_for_and_not_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"
