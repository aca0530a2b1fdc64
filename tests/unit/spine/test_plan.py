"""A run is planned once: the same id and the same plan after a clear, and nothing later reads "the latest"."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from tests.line import write_profile

from spavl.artifacts import channel
from spavl.artifacts.store import Store, open_store
from spavl.errors import UserError
from spavl.plan import check_run_id, make_plan, read_plan

NIGHT = datetime.datetime(2026, 5, 1, 3, 0, tzinfo=datetime.UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path / 'store'}")


@pytest.fixture
def profile(tmp_path: Path) -> str:
    return str(write_profile(tmp_path, num_per_leaf=0, num_per_benign=1))


def refresh(store: Store, profile: str, name: str = "tonight", **more):
    return make_plan(
        store,
        dag="refresh_preferences",
        airflow_run_id=name,
        profile=profile,
        now=more.pop("now", NIGHT),
        **more,
    )


def test_a_run_id_is_a_date_and_a_hash_and_the_same_after_a_clear(store: Store, profile: str) -> None:
    first = refresh(store, profile)
    cleared = refresh(store, profile, now=NIGHT + datetime.timedelta(days=2), overrides=["dataset.seed=7"])
    assert first.run_id.startswith("20260501-") and check_run_id(first.run_id) == first.run_id
    assert cleared == first == read_plan(store, first.run_id)


def test_another_airflow_run_is_another_run(store: Store, profile: str) -> None:
    assert refresh(store, profile).run_id != refresh(store, profile, "tomorrow").run_id


@pytest.mark.parametrize(
    "run_id", ["../../etc", "a/b", "20260501-XYZ", "20260501-0123456789/..", "", "20260501-01234567890"]
)
def test_a_run_id_that_is_a_path_is_refused(store: Store, run_id: str) -> None:
    with pytest.raises(UserError, match="is not a run id"):
        read_plan(store, run_id)


def test_an_unknown_run_is_a_users_mistake(store: Store) -> None:
    with pytest.raises(UserError, match="there is no run"):
        read_plan(store, "20260501-0123456789")


def test_a_past_night_is_refused_and_a_late_one_is_not(store: Store, profile: str) -> None:
    with pytest.raises(UserError, match="past night"):
        refresh(store, profile, logical_date=NIGHT - datetime.timedelta(days=2))
    assert refresh(store, profile, logical_date=NIGHT - datetime.timedelta(hours=9)).run_id


def test_an_alignment_needs_a_dataset_version(store: Store, profile: str) -> None:
    with pytest.raises(UserError, match="has no dataset version yet"):
        make_plan(store, dag="align_model", airflow_run_id="x", profile=profile, now=NIGHT)


def test_a_plan_pins_heads_suites_revisions_and_the_runs_to_reuse(store: Store, profile: str) -> None:
    earlier = [
        refresh(store, profile, f"night {number}", now=NIGHT + datetime.timedelta(minutes=number)).run_id
        for number in range(5)
    ]
    plan = refresh(store, profile, "now", now=NIGHT + datetime.timedelta(minutes=9))
    assert plan.heads == {"dataset": 0, "stable": 0}
    assert set(plan.suites) == {
        "images",
        "questions",
        "responses",
        "judgements",
        "comparisons",
        "preferences",
        "dataset",
    }
    assert plan.revisions["bold"] == "fake-1" and plan.revisions["demo-rules"].startswith("demo-rules")
    assert plan.reuse_runs == [earlier[4], earlier[3], earlier[2]]


def test_a_channel_that_moves_later_does_not_move_the_plan(store: Store, profile: str) -> None:
    plan = refresh(store, profile)
    channel.append(
        store,
        "dataset",
        channel.Entry(1, 0, "publish", "20260501-aaaaaaaaaa", "dataset", "f", "2026-05-01T00:00:00+00:00"),
    )
    assert read_plan(store, plan.run_id).heads["dataset"] == 0 == refresh(store, profile).heads["dataset"]


def test_two_models_of_one_name_must_be_one_model(store: Store, tmp_path: Path) -> None:
    path = write_profile(
        tmp_path,
        num_per_leaf=0,
        num_per_benign=1,
        comparisons={"judge": {"kind": "demo_rules", "flip_share": 0.5}},
    )
    with pytest.raises(UserError, match="two different models of the profile are named 'demo-rules'"):
        refresh(store, str(path))


def test_a_run_on_a_cluster_pins_its_images(store: Store, tmp_path: Path) -> None:
    pinned = "registry.test/data@sha256:" + "a" * 64
    launch = {"kind": "kubernetes", "images": {"data": pinned}}
    path = str(write_profile(tmp_path, num_per_leaf=0, num_per_benign=1, launch=launch))
    plan = refresh(store, path)
    assert plan.image_digests == {pinned: "sha256:" + "a" * 64} == read_plan(store, plan.run_id).image_digests
    by_tag = refresh(store, path, "by tag", overrides=["launch.images.data=registry.test/data:1"])
    assert by_tag.image_digests == {"registry.test/data:1": ""}


def test_a_run_on_a_cluster_without_images_is_never_planned(store: Store, tmp_path: Path) -> None:
    path = str(write_profile(tmp_path, num_per_leaf=0, num_per_benign=1, launch={"kind": "kubernetes"}))
    with pytest.raises(UserError, match=r"launch.images.data is not set"):
        refresh(store, path)
    assert store.names("runs") == []


def test_a_run_on_this_machine_has_no_images(store: Store, profile: str) -> None:
    assert refresh(store, profile).image_digests == {}
