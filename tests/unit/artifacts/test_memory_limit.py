"""What the engine cannot do within its memory ends in words that name the limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.artifacts.engine import Engine, memory_explained
from spavl.artifacts.store import open_store
from spavl.errors import UserError

TOO_MUCH = (
    "SELECT len(list(number)) FROM range(30_000_000) numbers(number)"  # a list of all values cannot spill
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(open_store(f"file://{tmp_path}/store"), tmp_path, tmp_path / "cache", memory_limit_mb=100)


def test_the_limit_is_named_with_what_to_do(engine: Engine) -> None:
    with (
        pytest.raises(UserError, match=r"more memory than tables\.memory_limit_mb: 100 MB") as raised,
        memory_explained(100),
    ):
        engine.value(TOO_MUCH)
    assert "reuses what is done" in raised.value.next_step


def test_other_errors_are_left_as_they_are(engine: Engine) -> None:
    import duckdb

    with pytest.raises(duckdb.CatalogException), memory_explained(100):
        engine.value("SELECT nothing FROM nowhere")
    with pytest.raises(ZeroDivisionError), memory_explained(100):
        _ = 1 / 0
