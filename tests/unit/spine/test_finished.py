"""A step that is done is not started again: the store is asked first."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.line import write_profile

from spavl import run as steps
from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import Store, open_store
from spavl.commands import running
from spavl.errors import TryAgain
from spavl.finished import finished
from spavl.launch import LAUNCHERS, Launcher, StepFailed
from spavl.outcome import Outcome
from spavl.plan import Plan, make_plan
from spavl.run import StageRun
from spavl.run.publish import publish


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    profile = write_profile(tmp_path, images={"chunk_size": 64, "num_shards": 2})
    return make_plan(open_store(), dag="refresh_preferences", airflow_run_id="one", profile=str(profile))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What is started from here on: each step as it is done in this process."""
    made: list[tuple[str, ...]] = []

    def step(plan: Plan, stage: str, name: str, *, on_line: Any) -> Outcome:
        made.append((stage, name))
        return getattr(steps, name)(open_store(), plan, stage)

    def group(plan: Plan, stage: str, name: str, num_shards: int, *, on_line: Any) -> Outcome:
        made.append((stage, "work", name))
        for shard in range(num_shards):
            steps.work(open_store(), plan, stage, name, shard, num_shards)
        return Outcome(stage, "work")

    monkeypatch.setitem(LAUNCHERS, "local", Launcher(step, group))
    return made


def test_nothing_is_started_for_a_stage_that_is_sealed(plan: Plan, started: list[tuple[str, ...]]) -> None:
    first = running._run_stage("images", plan)
    assert started == [("images", "prepare"), ("images", "work", "drawings"), ("images", "seal")]
    started.clear()
    again = running._run_stage("images", plan)
    assert started == []
    assert (again.verdict, again.counts) == ("already done", first.counts)


def test_a_stage_that_was_stopped_begins_where_it_was(plan: Plan, started: list[tuple[str, ...]]) -> None:
    store = open_store()
    (group,) = steps.prepare(store, plan, "images").groups
    assert group["num_shards"] == 2
    steps.work(store, plan, "images", "drawings", 0, 2)
    assert finished(store, plan, "images", "work", "drawings") is None
    known = finished(store, plan, "images", "prepare")
    assert known is not None and known.groups == [group]
    assert known.counts == {"items": group["num_items"], "reused": 0, "to_do": group["num_items"]}
    running._run_stage("images", plan)
    assert started == [("images", "work", "drawings"), ("images", "seal")]


def test_a_group_whose_parts_are_all_there_is_not_started(plan: Plan, started: list[tuple[str, ...]]) -> None:
    store = open_store()
    (group,) = steps.prepare(store, plan, "images").groups
    for shard in (0, 1):
        steps.work(store, plan, "images", "drawings", shard, 2)
    done = finished(store, plan, "images", "work", "drawings")
    assert done is not None and done.counts == {"computed": 0, "resumed": group["num_items"]}
    running._run_stage("images", plan)
    assert started == [("images", "seal")]


def test_one_part_less_and_its_group_is_started(plan: Plan) -> None:
    store = open_store()
    steps.prepare(store, plan, "images")
    for shard in (0, 1):
        steps.work(store, plan, "images", "drawings", shard, 2)
    part = next(path for path in store.walk(f"runs/{plan.run_id}/images/parts") if path.endswith(".parquet"))
    store.remove(part)
    assert finished(store, plan, "images", "work", "drawings") is None


def sealed(store: Store, plan: Plan, stage: str) -> Record:
    """A record as `seal` writes it, of a stage whose inputs are sealed."""
    fingerprint = StageRun(store, plan, stage).fingerprint
    record = Record(plan.run_id, stage, fingerprint, "2026", "0", {}, {}, {}, counts={"rows": 7})
    store.create(record_path(plan.run_id, stage), record.to_json())
    return record


def test_a_version_whose_entry_a_kill_left_unmade_is_sealed_again(plan: Plan) -> None:
    store = open_store()
    record = [sealed(store, plan, stage) for stage in plan.stages][-1]
    assert finished(store, plan, "preferences", "seal").counts == {"rows": 7}
    assert finished(store, plan, "dataset", "seal") is None
    publish(store, plan, record)
    assert finished(store, plan, "dataset", "seal").counts == {"rows": 7}


def test_another_runs_entry_is_not_this_runs(plan: Plan) -> None:
    store = open_store()
    record = [sealed(store, plan, stage) for stage in plan.stages][-1]
    publish(store, dataclasses.replace(plan, run_id="20260101-aaaaaaaaaa"), record)
    assert finished(store, plan, "dataset", "seal") is None, "its seal says that the head has moved"


def test_a_record_made_from_other_inputs_is_said_before_anything_is_started(
    plan: Plan, started: list[tuple[str, ...]]
) -> None:
    sealed(open_store(), dataclasses.replace(plan, forgotten=1), "images")
    with pytest.raises(StepFailed, match="already has another `images`"):
        running._run_stage("images", plan)
    assert started == []


def test_a_stage_that_the_method_does_not_need_is_skipped_at_once(plan: Plan) -> None:
    align = Plan(**{**vars(plan), "dag": "align_model"})
    outcome = finished(open_store(), align, "reward", "prepare")
    assert (
        outcome is not None
        and outcome.verdict == "skipped"
        and "only training.method 'ppo'" in outcome.next_step
    )


def test_a_store_that_does_not_answer_starts_nothing(
    plan: Plan, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(store: Store, path: str) -> bytes:
        raise TryAgain("the store does not answer.")

    monkeypatch.setattr(Store, "read", away)
    with pytest.raises(StepFailed, match="does not answer") as failed:
        running._run_stage("images", plan)
    assert (failed.value.exit_code, started) == (75, [])


def test_a_stage_that_is_not_begun_costs_two_reads(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    read = Store.read
    monkeypatch.setattr(Store, "read", lambda store, path: (asked.append(path), read(store, path))[1])
    assert finished(open_store(), plan, "images", "prepare") is None
    assert asked == [record_path(plan.run_id, "images"), f"runs/{plan.run_id}/images/worklist.json"]
