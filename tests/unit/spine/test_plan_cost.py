"""A plan asks little of the store, however many nights there were, and a question that is not answered stops it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.counted_s3 import FAULTS, CountedS3, counted_s3
from tests.line import write_profile
from tests.many_nights import ALIGN, FIRST_NIGHT, REFRESH, Nights, run_id

import spavl.decision
import spavl.plan
from spavl.artifacts import channel
from spavl.artifacts.store import Store, open_store
from spavl.errors import SpavlError, TryAgain
from spavl.former_runs import MOST_KEPT
from spavl.plan import Plan, alignment_key_of, make_plan, plan_path

NUM_NIGHTS = 365
MOST_REQUESTS = 10
ASKED = ("read", "write", "create", "exists", "size", "names", "walk", "remove")


class Watched:
    """A store that counts what is asked of it, and raises at a question of a given number."""

    def __init__(self, store: Store, fails_at: int = -1, error: BaseException | None = None) -> None:
        self._store, self._fails_at, self._error = store, fails_at, error
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name not in ASKED:
            return method

        def ask(*arguments: Any) -> Any:
            self.asked.append(f"{name} {arguments[0]}")
            if len(self.asked) - 1 == self._fails_at and self._error is not None:
                raise self._error
            return method(*arguments)

        return ask


@pytest.fixture(scope="module", autouse=True)
def reckoned_once() -> Iterator[None]:
    """What a plan reckons without the store, suites and power, is reckoned once: it is 2 s of each plan."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spavl.plan, "suite_text", functools.cache(spavl.plan.suite_text))
        patch.setattr(spavl.plan, "check_gold", lambda config, suite: None)
        patch.setattr(spavl.plan, "check_benchmarks", lambda config: None)
        needed, power = spavl.decision.decision_prompts_needed, spavl.decision.decision_power
        patch.setattr(spavl.decision, "decision_prompts_needed", functools.cache(needed))
        patch.setattr(spavl.decision, "decision_power", functools.cache(power))
        patch.setattr(spavl.decision, "margins_of", functools.cache(spavl.decision.margins_of))
        yield


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_profile(tmp_path_factory.mktemp("profile"), num_per_leaf=0, num_per_benign=1))


@pytest.fixture(scope="module")
def template(profile: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = open_store(f"file://{tmp_path_factory.mktemp('template')}")
    return dataclasses.asdict(planned(store, profile, REFRESH, 0))


def store_of(nights: Nights, folder: Path) -> Store:
    nights.write_to(folder)
    return open_store(f"file://{folder}")


@pytest.fixture
def year(template: dict[str, Any], tmp_path: Path) -> Store:
    return store_of(Nights(template, NUM_NIGHTS), tmp_path / "store")


def planned(store: Any, profile: str, dag: str, night: int, *, hour: int = 0, **more: Any) -> Plan:
    now = FIRST_NIGHT + datetime.timedelta(days=night, hours=hour)
    more.setdefault("airflow_run_id", f"{dag} of {night}")
    return make_plan(store, dag=dag, profile=profile, now=now, **more)


@pytest.mark.parametrize("dag", [REFRESH, ALIGN])
def test_a_plan_after_a_year_asks_the_store_ten_times_at_most(year: Store, profile: str, dag: str) -> None:
    watched = Watched(year)
    plan = planned(watched, profile, dag, NUM_NIGHTS)
    assert len(watched.asked) <= MOST_REQUESTS, watched.asked
    assert plan.heads == {"dataset": NUM_NIGHTS, "stable": NUM_NIGHTS}
    assert plan.reuse_runs == [run_id(dag, NUM_NIGHTS - number) for number in (1, 2, 3)]
    if dag == ALIGN:
        assert plan.inputs == {
            "dataset": {"run_id": run_id(REFRESH, NUM_NIGHTS - 1), "fingerprint": f"dataset {NUM_NIGHTS - 1}"}
        }
        assert (plan.last_release, plan.decision_number) == (NUM_NIGHTS, 1)
        assert {role: one["run_id"] for role, one in plan.references.items()} == {
            "champion": run_id(ALIGN, NUM_NIGHTS - 1),
            "best_harm": run_id(ALIGN, 0),
        }


def test_the_alignment_after_tonights_refresh_asks_ten_times_at_most(year: Store, profile: str) -> None:
    tonight = planned(year, profile, REFRESH, NUM_NIGHTS)
    watched = Watched(year)
    plan = planned(watched, profile, ALIGN, NUM_NIGHTS, hour=2)
    assert len(watched.asked) <= MOST_REQUESTS, watched.asked
    assert plan.earlier is not None and plan.earlier[REFRESH][0] == [tonight.run_id, tonight.created_at]
    assert len(plan.earlier[REFRESH]) == len(plan.earlier[ALIGN]) == MOST_KEPT


def test_the_number_of_questions_is_that_of_few_nights(
    template: dict[str, Any], profile: str, tmp_path: Path
) -> None:
    numbers = []
    for num in (4, 40, 120):
        watched = Watched(store_of(Nights(template, num), tmp_path / str(num)))
        planned(watched, profile, ALIGN, num)
        numbers.append(len(watched.asked))
    assert numbers[0] == numbers[1] == numbers[2]


def test_a_dag_that_ran_once_a_year_ago_costs_no_search(
    template: dict[str, Any], profile: str, tmp_path: Path
) -> None:
    store = store_of(Nights(template, 1), tmp_path / "store")
    for night in range(1, 60):
        planned(store, profile, REFRESH, night)
    watched = Watched(store)
    assert planned(watched, profile, ALIGN, 60).reuse_runs == [run_id(ALIGN, 0)]
    assert len(watched.asked) <= MOST_REQUESTS, watched.asked


@pytest.mark.parametrize("num_former", [1, 20, 60])
def test_a_store_of_a_former_version_gives_the_same_plan(
    template: dict[str, Any], profile: str, tmp_path: Path, num_former: int
) -> None:
    num = 60
    store = store_of(Nights(template, num), tmp_path / "new")
    former = store_of(Nights(template, num, num_former=num_former), tmp_path / "former")
    for dag in (REFRESH, ALIGN):
        assert planned(former, profile, dag, num) == planned(store, profile, dag, num)
    watched = Watched(former)
    planned(watched, profile, REFRESH, num + 1)
    assert len(watched.asked) <= MOST_REQUESTS, "what was read once is not read again"


def test_a_pruned_run_is_not_reused(template: dict[str, Any], profile: str, tmp_path: Path) -> None:
    store = store_of(Nights(template, 40), tmp_path / "store")
    store.remove(f"runs/{run_id(REFRESH, 38)}")
    plan = planned(store, profile, REFRESH, 40)
    assert plan.reuse_runs == [run_id(REFRESH, number) for number in (39, 37, 36)]


def test_runs_of_one_day_are_in_the_order_of_their_plans(store: Store, profile: str) -> None:
    made = [planned(store, profile, REFRESH, 0, hour=hour, airflow_run_id=f"{hour}") for hour in range(6)]
    assert planned(store, profile, REFRESH, 1).reuse_runs == [plan.run_id for plan in made[:2:-1]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path / 'store'}")


def test_the_same_recipe_on_the_same_version_is_skipped_whatever_was_released_since(
    template: dict[str, Any], profile: str, tmp_path: Path
) -> None:
    store = store_of(Nights(template, 3), tmp_path / "store")
    plan = planned(store, profile, ALIGN, 3)
    assert plan.skip_reason == ""
    for number in (4, 5):
        key = alignment_key_of(plan) if number == 4 else "another"
        details = {"alignment_key": key, "scores": {}}
        entry = channel.Entry(
            number, number - 1, "publish", plan.run_id, "release", f"r{number}", "", details=details
        )
        channel.append(store, "stable", entry)
        again = planned(store, profile, ALIGN, number)
        assert again.skip_reason.endswith(f"run {plan.run_id}, entry 4 of channel 'stable'")


def test_a_question_without_an_answer_is_never_an_absence(
    template: dict[str, Any], profile: str, tmp_path: Path
) -> None:
    """Whichever question fails, the plan says so, and the next try makes the plan that it would have been."""
    nights = Nights(template, 5)
    for dag in (REFRESH, ALIGN):
        expected = planned(store_of(nights, tmp_path / dag), profile, dag, 5)
        position = 0
        for position in range(40):
            for error in (TryAgain("throttled", next_step=""), OSError(16, "busy")):
                folder = tmp_path / f"{dag}-{position}-{type(error).__name__}"
                watched = Watched(store_of(nights, folder), position, error)
                try:
                    assert planned(watched, profile, dag, 5) == expected
                    assert len(watched.asked) <= position, "a fault was swallowed"
                except type(error):
                    assert planned(watched, profile, dag, 5) == expected
            if len(watched.asked) <= position:
                break
        assert 6 <= position <= MOST_REQUESTS


# ---------------------------------------------------------------------------------------------------------------- over HTTP


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountedS3]:
    import s3fs

    with counted_s3() as (application, address):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        boto3.client("s3").create_bucket(Bucket="spavl-plans")
        s3fs.S3FileSystem.clear_instance_cache()  # those that are kept know the server of another test
        yield application
        s3fs.S3FileSystem.clear_instance_cache()


def on_s3(nights: Nights) -> Store:
    prefix = uuid.uuid4().hex
    nights.put_into("spavl-plans", prefix)
    return open_store(f"s3://spavl-plans/{prefix}")


def test_a_plan_after_a_year_sends_s3_ten_requests_at_most(
    server: CountedS3, template: dict[str, Any], profile: str
) -> None:
    store = on_s3(Nights(template, NUM_NIGHTS))
    for dag in (REFRESH, ALIGN):
        server.count_anew()
        planned(store, profile, dag, NUM_NIGHTS)
        assert len(server.requests) <= MOST_REQUESTS, server.requests


@pytest.mark.parametrize("fault", FAULTS)
def test_an_s3_that_fails_once_at_any_request_makes_the_plan_fail_or_changes_nothing(
    server: CountedS3, template: dict[str, Any], profile: str, fault: str
) -> None:
    store = on_s3(Nights(template, 4))
    expected = planned(store, profile, ALIGN, 4)
    store.remove(plan_path(expected.run_id))
    for position in range(40):
        server.fail_at(position, fault, lasting=False)
        with contextlib.suppress(SpavlError, OSError):
            assert planned(store, profile, ALIGN, 4) == expected
        was_reached = len(server.requests) > position
        server.count_anew()
        assert planned(store, profile, ALIGN, 4) == expected
        store.remove(plan_path(expected.run_id))
        if not was_reached:
            return
    raise AssertionError("a plan of 40 requests")
