"""A stage that is killed in the middle and run again gives the same rows and ids as one that nothing disturbed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.line import kill_when, record_of, rows_of, run_here, spavl, store_of, write_profile

BEFORE = {
    "responses": ("images", "questions"),
    "comparisons": ("images", "questions", "responses", "judgements"),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home whose run has every stage up to comparisons, in small chunks, and the run's id."""
    folder = tmp_path_factory.mktemp("undisturbed")
    profile = write_profile(
        folder, num_per_leaf=1, num_per_benign=4, responses={"chunk_size": 4}, comparisons={"chunk_size": 4}
    )
    plan = ["plan", "--dag", "refresh_preferences", "--airflow-run-id", "tonight", "--profile", str(profile)]
    run_id = spavl(folder / "home", *plan).run_id
    run_here(folder / "home", run_id, *BEFORE["comparisons"], "comparisons")
    return folder / "home", run_id


@pytest.mark.slow
@pytest.mark.xdist_group("killed")
@pytest.mark.parametrize("stage", BEFORE)
def test_a_stage_killed_in_the_middle_ends_with_the_same_rows(
    tmp_path: Path, undisturbed: tuple[Path, str], stage: str
) -> None:
    whole, run_id = undisturbed
    home = tmp_path / "disturbed"
    shutil.copytree(whole, home)
    for later in {"responses", "judgements", "comparisons"} - set(BEFORE[stage]):
        shutil.rmtree(home / "store" / "runs" / run_id / later)
    group = spavl(home, "prepare", stage, "--run-id", run_id).groups[0]
    parts = f"runs/{run_id}/{stage}/parts/{group['group']}/0000"
    work = [stage, "--run-id", run_id, "--group", group["group"], "--shard", f"0/{group['num_shards']}"]

    kill_when(home, work, lambda: len(store_of(home).names(parts)) >= 2)
    num_parts = len(store_of(home).names(parts))
    assert 2 <= num_parts < group["num_items"] / 4
    spavl(home, "seal", stage, "--run-id", run_id, expect=75)
    assert not store_of(home).exists(f"runs/{run_id}/{stage}/record.json")

    again = spavl(home, *work)
    assert again.counts == {"computed": group["num_items"] - 4 * num_parts, "resumed": 4 * num_parts}
    run_here(home, run_id, stage)
    assert rows_of(home, run_id, stage) == rows_of(whole, run_id, stage)
    assert record_of(home, run_id, stage)["tables"] == record_of(whole, run_id, stage)["tables"]
