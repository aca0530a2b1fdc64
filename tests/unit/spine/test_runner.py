"""A stage is a transaction: it publishes all or nothing, once, and says what it reused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.line import write_profile

from spavl import run as steps
from spavl.artifacts import channel
from spavl.artifacts.lease import lease
from spavl.artifacts.parts import table_of
from spavl.artifacts.record import read_record, read_rows
from spavl.artifacts.store import Store, open_store
from spavl.errors import CheckFailed, TryAgain, UserError
from spavl.plan import Plan, make_plan
from spavl.run import work_list
from spavl.stages.images.rows import Image
from spavl.stages.questions.rows import Question
from spavl.stages.responses.rows import Response


def planned(
    store: Store,
    profile: Path,
    name: str = "tonight",
    dag: str = "refresh_preferences",
    overrides: tuple[str, ...] = (),
) -> Plan:
    return make_plan(store, dag=dag, airflow_run_id=name, profile=str(profile), overrides=overrides)


def run_stage(store: Store, plan: Plan, stage: str):
    for group in steps.prepare(store, plan, stage).groups:
        for shard in range(group["num_shards"]):
            steps.work(store, plan, stage, group["group"], shard, group["num_shards"])
    return steps.seal(store, plan, stage)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    return write_profile(folder, num_per_leaf=1, num_per_benign=3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path / 'store'}")


def test_three_stages_and_a_second_night_that_computes_nothing(store_url: str, pictures: Path) -> None:
    store = open_store(store_url)
    first, second = planned(store, pictures), None
    for stage in ("images", "questions", "responses"):
        outcome = run_stage(store, first, stage)
        assert (
            outcome.verdict == "done"
            and outcome.counts["reused"] == 0
            and outcome.counts["computed"] == outcome.counts["rows"]
        )
    second = planned(store, pictures, "tomorrow")
    for stage, row_type in (("images", Image), ("questions", Question), ("responses", Response)):
        assert steps.prepare(store, second, stage).groups == []
        outcome = steps.seal(store, second, stage)
        assert outcome.counts["computed"] == 0 and outcome.counts["reused"] == outcome.counts["rows"]
        rows = [
            read_rows(store, read_record(store, plan.run_id, stage), row_type) for plan in (first, second)
        ]
        assert rows[0] == rows[1]


def test_a_stage_that_is_done_is_not_done_again(store: Store, pictures: Path) -> None:
    plan = planned(store, pictures)
    run_stage(store, plan, "images")
    before = store.read(f"runs/{plan.run_id}/images/record.json")
    assert run_stage(store, plan, "images").verdict == "already done"
    assert store.read(f"runs/{plan.run_id}/images/record.json") == before


def test_a_failed_check_publishes_nothing_and_keeps_the_evidence(
    store: Store, tmp_path: Path, pictures: Path
) -> None:
    everything_fails = "model_error"
    profile = write_profile(
        tmp_path, num_per_leaf=1, num_per_benign=3,
        responses={"models": [{"kind": "fake", "name": name, "error_share": 0.5} for name in ("one", "two")]},
    )  # fmt: skip
    plan = planned(store, profile, everything_fails)
    for stage in ("images", "questions"):
        run_stage(store, plan, stage)
    with pytest.raises(CheckFailed, match=r"responses: .*saw .*limit"):
        run_stage(store, plan, "responses")
    assert read_record(store, plan.run_id, "responses") is None
    assert store.exists(f"runs/{plan.run_id}/responses/evidence/report.json")
    with pytest.raises(UserError, match=r"which run .* has not made"):
        steps.prepare(store, plan, "judgements")


def test_rows_that_ended_in_an_error_are_asked_again_the_next_night(store: Store, tmp_path: Path) -> None:
    def models(share: float) -> dict:
        return {"models": [{"kind": "fake", "name": name, "error_share": share} for name in ("one", "two")]}

    profile = write_profile(tmp_path, num_per_leaf=1, num_per_benign=3, responses=models(0.5))
    first = planned(store, profile)
    for stage in ("images", "questions"):
        run_stage(store, first, stage)
    with pytest.raises(CheckFailed):
        run_stage(store, first, "responses")
    failed = [
        row
        for row in work_list.read_parts(store, first.run_id, "responses", Response)
        if row.outcome == "error"
    ]

    second = planned(
        store, write_profile(tmp_path, num_per_leaf=1, num_per_benign=3, responses=models(0.0)), "tomorrow"
    )
    for stage in ("images", "questions"):
        run_stage(store, second, stage)
    counts = steps.prepare(store, second, "responses").counts
    assert failed and counts["to_do"] == len(failed) and counts["reused"] == counts["items"] - len(failed)


def test_seal_waits_for_every_row(store: Store, pictures: Path) -> None:
    plan = planned(store, pictures, overrides=("images.chunk_size=10",))
    steps.prepare(store, plan, "images")
    with pytest.raises(TryAgain, match=r"lacks 101 of 101 rows"):
        steps.seal(store, plan, "images")
    steps.work(store, plan, "images", "drawings", 0, 1)
    store.remove(work_list.part_path(plan.run_id, "images", "drawings", 0, 3))
    with pytest.raises(TryAgain, match=r"lacks 10 of 101 rows"):
        steps.seal(store, plan, "images")
    assert steps.work(store, plan, "images", "drawings", 0, 1).counts == {"computed": 10, "resumed": 91}
    assert steps.seal(store, plan, "images").counts["rows"] == 101


def test_a_second_runner_on_the_same_shard_is_told(store: Store, pictures: Path) -> None:
    plan = planned(store, pictures)
    steps.prepare(store, plan, "images")
    with (
        lease(store, f"runs/{plan.run_id}/images/leases/drawings-0000"),
        pytest.raises(TryAgain, match="another runner works on"),
    ):
        steps.work(store, plan, "images", "drawings", 0, 1)


def test_sharded_work_gives_the_same_table_as_one_shard(tmp_path: Path, pictures: Path) -> None:
    tables = []
    for name, num_shards in (("one", 1), ("four", 4)):
        store = open_store(f"file://{tmp_path / name}")
        plan = planned(store, pictures, overrides=(f"images.num_shards={num_shards}", "images.chunk_size=10"))
        run_stage(store, plan, "images")
        tables.append(read_record(store, plan.run_id, "images").tables["table"])
    assert tables[0] == tables[1]


@pytest.mark.parametrize(("group", "shard", "num_shards"), [("drawings", 0, 2), ("nobody", 0, 1)])
def test_a_shard_that_the_list_does_not_have_is_refused(
    store: Store, pictures: Path, group: str, shard: int, num_shards: int
) -> None:
    plan = planned(store, pictures)
    steps.prepare(store, plan, "images")
    with pytest.raises(UserError, match="shards, not"):
        steps.work(store, plan, "images", group, shard, num_shards)


def test_work_before_prepare_names_the_command(store: Store, pictures: Path) -> None:
    plan = planned(store, pictures)
    with pytest.raises(UserError, match=f"spavl prepare images --run-id {plan.run_id}"):
        steps.work(store, plan, "images", "drawings", 0, 1)


def test_a_damaged_table_is_noticed_by_the_stage_that_reads_it(store: Store, pictures: Path) -> None:
    plan = planned(store, pictures)
    run_stage(store, plan, "images")
    (part,) = table_of(read_record(store, plan.run_id, "images")).parts
    path = store.local_path(part.path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="is damaged"):
        steps.prepare(store, plan, "questions")


def test_a_dataset_entry_lost_by_a_kill_is_made_good_by_sealing_again(tmp_path: Path) -> None:
    profile = write_profile(tmp_path, num_per_leaf=2, num_per_benign=7)
    store = open_store(f"file://{tmp_path / 'store'}")
    plan = planned(store, profile)
    for stage in ("images", "questions", "responses", "judgements", "comparisons"):
        run_stage(store, plan, stage)
    steps.seal(store, plan, "preferences")
    steps.seal(store, plan, "dataset")
    entry = channel.head(store, "dataset")
    assert entry.run_id == plan.run_id and entry.number == 1
    shutil.rmtree(
        store.local_path("channels")
    )  # as if the process had died after the record and before the entry
    assert steps.seal(store, plan, "dataset").verdict == "already done"
    assert channel.head(store, "dataset") == entry
