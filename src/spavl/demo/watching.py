"""Watches one run to its end: asks Airflow for its tasks, the store for its counts, and shows a line per stage."""

from __future__ import annotations

import datetime
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from spavl.artifacts.record import read_record
from spavl.artifacts.store import Store
from spavl.config.root import Config
from spavl.demo.airflow_api import AirflowApi
from spavl.demo.following import Screen, StageLine, count_words, stage_seconds, stage_state
from spavl.demo.standalone import Airflow
from spavl.errors import EXIT_BUG, EXIT_DONE
from spavl.pipeline import DAGS
from spavl.plan import find_run, read_plan, run_key

POLL_S = 1.0


@dataclass
class Night:
    """What the parts of one `make demo` share."""

    screen: Screen
    store: Store
    config: Config
    airflow: Airflow
    api: AirflowApi
    number: int  # 1 + the dataset versions that were there at its start
    was_running: bool  # Airflow, before this began
    started: float = field(default_factory=time.monotonic)
    airflow_runs: dict[str, str] = field(default_factory=dict)  # DAG -> Airflow run id
    spavl_runs: dict[str, str] = field(default_factory=dict)  # DAG -> spavl run id


@dataclass(frozen=True)
class Ended:
    """How one DAG run ended."""

    verdict: str  # done, skipped or failed
    stage: str = ""
    reason: str = ""
    exit_code: int = EXIT_DONE


def follow(night: Night, dag_id: str, run_id: str) -> Ended:
    """Show a run's stages until it has ended."""
    night.airflow_runs[dag_id] = run_id
    night.screen.say(f"\n{dag_id}  {night.airflow.url}/dags/{dag_id}/runs/{quote(run_id)}", style="bold")
    with night.screen.watching():
        while True:
            state = night.api.run_state(dag_id, run_id)
            tasks = night.api.task_instances(dag_id, run_id)
            lines = _lines(night, dag_id, tasks)
            night.screen.show(lines)
            if state in ("success", "failed"):
                break
            time.sleep(POLL_S)
    return _ended(night, dag_id, state, tasks)


def _lines(night: Night, dag_id: str, tasks: list[dict[str, Any]]) -> list[StageLine]:
    if dag_id not in night.spavl_runs and any(
        task["task_id"] == "plan" and task["state"] == "success" for task in tasks
    ):
        night.spavl_runs[dag_id] = night.api.returned(dag_id, night.airflow_runs[dag_id], "plan")
    now, run_id = datetime.datetime.now(datetime.UTC), night.spavl_runs.get(dag_id)
    lines = []
    for stage in DAGS[dag_id]:
        state = stage_state(stage, tasks)
        words = _asked(stage, tasks) or _words(night.store, run_id, stage, state)
        lines.append(StageLine(stage, state, words, stage_seconds(stage, tasks, now)))
    return lines


def _asked(stage: str, tasks: list[dict[str, Any]]) -> str:
    """That the stage waits for a person, if its approval does."""
    waits = any(task["task_id"] == f"{stage}.approve" and task["state"] == "awaiting_input" for task in tasks)
    return "waits for a person: answer the task's request in Airflow" if waits else ""


def _words(store: Store, run_id: str | None, stage: str, state: str) -> str:
    from spavl.commands.looking import stage_status

    if run_id is None or state not in ("running", "retrying", "done"):
        return ""
    record = read_record(store, run_id, stage)
    if record:
        return count_words(record.counts)
    how_far = stage_status(store, read_plan(store, run_id), stage)
    return how_far if how_far.endswith("%") else ""


def _ended(night: Night, dag_id: str, state: str, tasks: list[dict[str, Any]]) -> Ended:
    if state == "failed":
        return _failed(night, dag_id, next((task for task in tasks if task["state"] == "failed"), None))
    if any(task["task_id"] == "plan" and task["state"] == "skipped" for task in tasks):
        return Ended("skipped", "plan", _skip_reason(night, dag_id))
    return Ended("done")


def _skip_reason(night: Night, dag_id: str) -> str:
    key = run_key(night.config.installation, dag_id, night.airflow_runs[dag_id])
    run_id = find_run(night.store, key)
    return read_plan(night.store, run_id).skip_reason if run_id else "its plan found nothing to do"


def _failed(night: Night, dag_id: str, broken: dict[str, Any] | None) -> Ended:
    if broken is None:
        return Ended("failed", dag_id, "the run was marked as failed", EXIT_BUG)
    reason = night.api.last_error(dag_id, night.airflow_runs[dag_id], broken)
    code = re.search(r"\(exit (\d+)\)", reason)
    return Ended("failed", broken["task_id"].split(".")[0], reason, int(code[1]) if code else EXIT_BUG)
