"""What is kept, and why: heads, pins, the newest, the young, what the next release is compared with, and what these need."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

from spavl.artifacts import channel, pins
from spavl.artifacts.store import Store, open_store
from spavl.plan import Plan, plan_path
from spavl.retention.reach import Policy, reach

NOW = datetime.datetime(2026, 6, 30, tzinfo=datetime.UTC)
NOTHING = Policy(keep_runs=0, keep_datasets=0, keep_releases=0)
HARM, HELP = "held_out_harm/aligned/unsafe_rate", "held_out_benign/aligned/help_rate"


def run_name(day: int, kind: str = "a") -> str:
    return f"202606{day:02d}-{kind * 10}"


def write_plan(store: Store, day: int, kind: str = "a", **fields: Any) -> str:
    run = run_name(day, kind)
    dag = "refresh_preferences" if kind == "a" else "align_model"
    plan = Plan(
        run,
        dag,
        run,
        f"2026-06-{day:02d}T01:00:00+00:00",
        "test",
        "p",
        [],
        {"training": {"method": "dpo"}},
        {},
        {},
        {},
    )
    store.write(plan_path(run), json.dumps(dataclasses.asdict(plan) | fields).encode())
    return run


def publish(
    store: Store, name: str, days: list[int], stage: str = "dataset", details: list[dict] | None = None
) -> None:
    for number, day in enumerate(days, 1):
        run = run_name(day, "a" if stage == "dataset" else "b")
        at = f"2026-06-{day:02d}T02:00:00+00:00"
        entry = channel.Entry(
            number,
            number - 1,
            "publish",
            run,
            stage,
            f"f{day}",
            at,
            details=(details or [{}] * len(days))[number - 1],
        )
        channel.append(store, name, entry)


def kept(store: Store, policy: Policy, holding: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    return {run: list(why) for run, why in reach(store, policy, NOW, holding).reasons.items()}


def nights(tmp_path: Any, num: int = 5) -> Store:
    store = open_store(f"file://{tmp_path}/store")
    for day in range(1, num + 1):
        write_plan(store, day)
    publish(store, "dataset", list(range(1, num + 1)))
    return store


def test_the_head_of_a_channel_is_kept_whatever_the_policy(tmp_path: Any) -> None:
    assert kept(nights(tmp_path), NOTHING) == {run_name(5): ["head of dataset"]}


def test_the_newest_versions_are_kept_by_number(tmp_path: Any) -> None:
    found = kept(nights(tmp_path), Policy(keep_runs=0, keep_datasets=2))
    assert list(found) == [run_name(4), run_name(5)] or sorted(found) == [run_name(4), run_name(5)]
    assert found[run_name(4)] == ["among the 2 newest of dataset"]


def test_a_young_version_is_kept_whatever_its_number(tmp_path: Any) -> None:
    policy = dataclasses.replace(NOTHING, older_than_days=27)
    assert sorted(kept(nights(tmp_path), policy)) == [run_name(day) for day in (3, 4, 5)]


def test_a_pinned_run_is_kept_with_its_reason(tmp_path: Any) -> None:
    store = nights(tmp_path)
    pins.pin(store, pins.Pin(run_name(2), "anna", "audit of June", "2026-06-20"))
    assert kept(store, NOTHING)[run_name(2)] == ["pinned by anna: audit of June"]
    pins.unpin(store, run_name(2))
    assert run_name(2) not in kept(store, NOTHING)


def test_a_release_keeps_its_dataset_and_the_releases_that_it_is_compared_with(tmp_path: Any) -> None:
    store = nights(tmp_path)
    write_plan(store, 1, "b")
    write_plan(store, 2, "b")
    write_plan(store, 3, "b", inputs={"dataset": {"run_id": run_name(3), "fingerprint": "f3"}})
    scores = [{HARM: 0.02, HELP: 0.5}, {HARM: 0.2, HELP: 0.99}, {HARM: 0.1, HELP: 0.8}]
    publish(store, "stable", [1, 2, 3], "release", [{"scores": score} for score in scores])
    found = kept(store, NOTHING)
    assert found[run_name(1, "b")] == ["best_harm of stable: the next release is compared with it"]
    assert found[run_name(2, "b")] == ["best_help of stable: the next release is compared with it"]
    assert found[run_name(3)] == [f"run {run_name(3, 'b')} was made from it"]
    assert sorted(found) == [run_name(1, "b"), run_name(2, "b"), run_name(3), run_name(3, "b"), run_name(5)]


def test_neither_number_nor_age_keeps_a_run_with_forgotten_images(tmp_path: Any) -> None:
    store = nights(tmp_path)
    holding = frozenset({run_name(3), run_name(5)})
    policy = Policy(keep_runs=3, keep_datasets=3, older_than_days=60)
    assert sorted(kept(store, policy, holding)) == [run_name(day) for day in (1, 2, 4, 5)]


def test_a_folder_without_a_plan_goes_first(tmp_path: Any) -> None:
    store = nights(tmp_path)
    store.write("runs/20260101-cccccccccc/images/left.parquet", b"what a killed prune has left")
    assert reach(store, NOTHING, NOW).doomed == [
        "20260101-cccccccccc",
        *(run_name(day) for day in (1, 2, 3, 4)),
    ]
