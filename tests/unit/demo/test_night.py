"""Which run a night follows, how its end becomes an exit code, and what is left behind for the next command."""

import io
import json

import pytest
from rich.console import Console

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.demo import night as nights
from spavl.demo.following import Screen
from spavl.demo.standalone import Airflow
from spavl.demo.summary import ALIGN, REFRESH
from spavl.demo.telling import finish
from spavl.demo.watching import Ended, Night, follow

RUN = "20261123-aaaaaaaaaa"
PROBLEM = "images seal (exit 3): images: expect_x saw 0.1, limit >= 0.2"


class PretendAirflow:
    """Airflow as the demo sees it; answers from what the test gives."""

    def __init__(
        self,
        *,
        active: dict[str, str] | None = None,
        due: bool = False,
        state: str = "success",
        tasks: tuple = (),
    ) -> None:
        self.active, self.due, self.state, self.tasks = active or {}, due, state, tasks
        self.triggered: list[str] = []
        self.unpaused: list[str] = []

    def wait_until_ready(self, dag_ids):
        return iter(())

    def unpause(self, dag_id):
        self.unpaused.append(dag_id)

    def active_run(self, dag_id):
        if self.due:
            self.active = {REFRESH: "scheduled__1"}
        return self.active.get(dag_id)

    def is_due(self, dag_id):
        return self.due

    def trigger(self, dag_id):
        self.triggered.append(dag_id)
        return "manual__1"

    def run_state(self, dag_id, run_id):
        return self.state

    def task_instances(self, dag_id, run_id):
        return [
            {
                "task_id": name,
                "state": state,
                "start_date": None,
                "end_date": None,
                "map_index": -1,
                "try_number": 1,
            }
            for name, state in self.tasks
        ]

    def returned(self, dag_id, run_id, task_id):
        return RUN

    def woken_run(self, dag_id, run_id, woken):
        return "asset__1"

    def last_error(self, dag_id, run_id, task):
        return PROBLEM


def a_night(api: PretendAirflow, *, was_running: bool = True) -> Night:
    screen = Screen(Console(file=io.StringIO(), width=200))
    airflow = Airflow(1, 1.0, "m", 8080, "dags", "/nowhere")
    return Night(screen, open_store(), Config(profile="demo"), airflow, api, 1, was_running)


def said(night: Night) -> str:
    return night.screen.console.file.getvalue()


def test_a_night_triggers_a_run_of_its_own():
    night = a_night(PretendAirflow())
    assert nights._run_line(night, {}).verdict == "done"
    assert night.api.triggered == [REFRESH]
    assert night.airflow_runs == {REFRESH: "manual__1", ALIGN: "asset__1"}


def test_the_dag_to_be_woken_is_unpaused_first():
    night = a_night(PretendAirflow())
    nights._run_line(night, {})
    assert night.api.unpaused == [ALIGN, REFRESH]


def test_a_scheduled_run_that_is_due_is_tonights_run():
    night = a_night(PretendAirflow(due=True))
    assert nights._tonights_run(night) == "scheduled__1"
    assert night.api.triggered == []


@pytest.mark.parametrize("dag_id", [REFRESH, ALIGN])
def test_what_an_interrupted_command_left_going_is_watched_again(dag_id):
    night = a_night(PretendAirflow(active={dag_id: "manual__0"}))
    under_way = nights._under_way(night)
    assert under_way == {dag_id: "manual__0"}
    nights._run_line(night, under_way)
    assert night.airflow_runs[dag_id] == "manual__0"
    assert night.api.triggered == []


def test_a_fresh_airflow_has_nothing_under_way():
    assert nights._under_way(a_night(PretendAirflow(active={REFRESH: "r"}), was_running=False)) == {}


def test_a_failed_stage_ends_the_night_with_its_exit_code_and_the_expectation():
    api = PretendAirflow(
        state="failed", tasks=(("plan", "success"), ("images.seal", "failed"), ("report", "success"))
    )
    ended = follow(a_night(api), REFRESH, "manual__1")
    assert ended == Ended("failed", "images", PROBLEM, 3)


def test_after_a_failed_refresh_nothing_is_aligned():
    night = a_night(PretendAirflow(state="failed", tasks=(("images.seal", "failed"),)))
    assert nights._run_line(night, {}).exit_code == 3
    assert ALIGN not in night.airflow_runs


def test_an_already_aligned_dataset_is_a_night_that_ends_well():
    api = PretendAirflow(tasks=(("plan", "skipped"), ("training.seal", "skipped")))
    ended = follow(a_night(api), ALIGN, "asset__1")
    assert (ended.verdict, ended.exit_code) == ("skipped", 0)


def test_the_summary_is_kept_in_the_runs_folder_and_its_path_is_the_last_line():
    night = a_night(PretendAirflow())
    night.spavl_runs[REFRESH], night.airflow_runs[REFRESH] = RUN, "manual__2026-11-23T00:00:00+00:00"
    assert finish(night, Ended("failed", "images", PROBLEM, 3)) == 3
    path = night.store.local_path(f"runs/{RUN}/summary.json")
    assert said(night).splitlines()[-1] == str(path)
    summary = json.loads(path.read_text())
    assert (summary["verdict"], summary["failed_stage"], summary["reason"]) == ("failed", "images", PROBLEM)
    assert summary["links"]["refresh_preferences_report"].endswith(
        "manual__2026-11-23T00%3A00%3A00%2B00%3A00/report"
    )


def test_the_password_is_in_no_file_that_the_summary_leaves(tmp_path):
    (tmp_path / "simple_auth_manager_passwords.json.generated").write_text('{"admin": "s3cret"}')
    night = a_night(PretendAirflow())
    night.airflow = Airflow(1, 1.0, "m", 8080, "dags", str(tmp_path))
    night.spavl_runs[REFRESH] = RUN
    finish(night, Ended("done"))
    assert "s3cret" in said(night)
    assert b"s3cret" not in night.store.read(f"runs/{RUN}/summary.json")
