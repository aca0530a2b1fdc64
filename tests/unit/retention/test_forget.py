"""A take-down through the whole data line: the next version is without the image and all that came from it, and so is the store at last."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.line import rows_of, run_here, spavl, store_of, write_profile

from spavl.pipeline import DAGS
from spavl.retention.search import search

pytestmark = pytest.mark.slow


def night(home: Path, profile: Path, name: str) -> str:
    planned = spavl(
        home, "plan", "--dag", "refresh_preferences", "--airflow-run-id", name, "--profile", str(profile)
    )
    run_here(home, planned.run_id, *DAGS["refresh_preferences"])
    return planned.run_id


def test_a_forgotten_image_is_in_no_later_table_and_leaves_the_store_with_the_earlier_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("SPAVL_HOME", str(home))
    profile = write_profile(tmp_path, num_per_leaf=2, num_per_benign=7)
    first = night(home, profile, "first")
    store = store_of(home)
    gone = rows_of(home, first, "dataset")[0]["image_id"]
    (tmp_path / "ids.txt").write_text(gone + "\n")

    spavl(home, "forget", "--images", str(tmp_path / "ids.txt"), "--reason", "asked to", "--by", "anna")
    second = night(home, profile, "second")
    held = {found.path for found in search(store, [gone])}
    of_second = {path for path in held if path.startswith(f"runs/{second}/")}
    listed = {part["path"] for stage in DAGS["refresh_preferences"] for part in parts_of(home, second, stage)}
    assert of_second == set() and not held & listed
    assert any(path.startswith(f"runs/{first}/") for path in held)
    assert [row["reason"] for row in rows_of(home, second, "images", "quarantine")] == ["forgotten"]
    left = {row["id"] for row in rows_of(home, first, "images")} - {gone}
    assert {row["id"] for row in rows_of(home, second, "images")} == left
    reused = store.read(f"runs/{second}/responses/record.json")
    assert b'"computed": 0' in reused  # nothing of the other images was asked again

    found = spavl(home, "forget", "--check", expect=3)
    assert found.counts["in_later_runs"] == 0 and found.counts["found"] > 0
    make_old(home / "store" / "parts")
    spavl(home, "prune", "--forgotten", "--yes")
    assert store.names("runs") == [second]
    assert spavl(home, "forget", "--check").counts["found"] == 0
    third = night(home, profile, "third")
    assert {row["id"] for row in rows_of(home, third, "images")} == left


def parts_of(home: Path, run_id: str, stage: str) -> list[dict]:
    from tests.line import record_of

    return [part for table in record_of(home, run_id, stage)["tables"].values() for part in table["parts"]]


def make_old(folder: Path) -> None:
    """Prune leaves young parts alone: they may be a seal's that has not written its record yet."""
    for path in folder.rglob("*.parquet"):
        os.utime(path, (time.time() - 7200,) * 2)
