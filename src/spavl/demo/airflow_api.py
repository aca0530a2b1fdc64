"""The few calls of Airflow's REST API that the demo needs, as the user whose password Airflow generated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from spavl.demo.standalone import Airflow, check_alive
from spavl.errors import TryAgain

START_TIMEOUT_S = 240.0  # 15 s on two idle cores; ten times that was seen on a busy machine
PARTS = ("metadatabase", "scheduler", "dag_processor")


class AirflowApi:
    """An authenticated client; raises TryAgain where Airflow does not answer."""

    def __init__(self, airflow: Airflow) -> None:
        import httpx

        self.airflow = airflow
        self._http = httpx.Client(base_url=airflow.url, timeout=30)

    def wait_until_ready(self, dag_ids: tuple[str, ...]) -> Iterator[str]:
        """Yields what is still missing, about once a second, until every part is up and the DAGs are known."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while missing := self._missing(dag_ids):
            check_alive(self.airflow)
            if time.monotonic() > deadline:
                raise TryAgain(
                    f"Airflow is not ready after {START_TIMEOUT_S:.0f} s: {missing}.",
                    next_step=f"See {self.airflow.log_path}.",
                )
            yield missing
            time.sleep(1)

    def unpause(self, dag_id: str) -> None:
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str) -> str:
        """Start a run with the form's defaults; returns its Airflow run id."""
        return self._call("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None})["dag_run_id"]

    def active_run(self, dag_id: str) -> str | None:
        """The oldest run that is queued or running, or None."""
        found = self._call(
            "GET",
            f"/dags/{dag_id}/dagRuns",
            params={"state": ["running", "queued"], "order_by": "run_after", "limit": 1},
        )
        return found["dag_runs"][0]["dag_run_id"] if found["dag_runs"] else None

    def is_due(self, dag_id: str) -> bool:
        """Whether the scheduler is about to create a run by itself: its time has passed."""
        import datetime

        due = self._call("GET", f"/dags/{dag_id}")["next_dagrun_run_after"]
        return bool(due) and datetime.datetime.fromisoformat(due) <= datetime.datetime.now(datetime.UTC)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success or failed."""
        return self._call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}")["state"]

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances"
        return self._call("GET", path, params={"limit": 1000})["task_instances"]

    def woken_run(self, dag_id: str, run_id: str, woken_dag_id: str) -> str | None:
        """The run of another DAG that an asset event of this run woke, or None so far."""
        events = self._call(
            "GET", "/assets/events", params={"source_dag_id": dag_id, "source_run_id": run_id}
        )["asset_events"]
        woken = [
            run["run_id"]
            for event in events
            for run in event["created_dagruns"]
            if run["dag_id"] == woken_dag_id
        ]
        return woken[-1] if woken else None

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned, or None where it has not."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        response = self._send("GET", path, params={"deserialize": "true"})
        return response.json()["value"] if response.status_code == 200 else None

    def last_error(self, dag_id: str, run_id: str, task: dict[str, Any]) -> str:
        """The message of the exception that ended a task's last try; "" where its log has none."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        response = self._send(
            "GET",
            path,
            params={"map_index": task["map_index"], "full_content": "true"},
            headers={"Accept": "application/json"},
        )
        lines = response.json().get("content", []) if response.status_code == 200 else []
        errors = [
            detail["exc_value"]
            for line in lines
            if isinstance(line, dict)
            for detail in line.get("error_detail") or []
        ]
        return errors[-1] if errors else ""

    def _missing(self, dag_ids: tuple[str, ...]) -> str:
        import httpx

        try:
            health = self._http.get("/api/v2/monitor/health").json()
        except (httpx.HTTPError, ValueError):
            return "its API server is starting"
        if asleep := [part for part in PARTS if health.get(part, {}).get("status") != "healthy"]:
            return f"waiting for {', '.join(asleep)}"
        unknown = [dag_id for dag_id in dag_ids if self._send("GET", f"/dags/{dag_id}").status_code == 404]
        return f"reading {', '.join(unknown)}" if unknown else ""

    def _call(self, method: str, path: str, **options: Any) -> Any:
        response = self._send(method, path, **options)
        if response.is_error:
            raise TryAgain(
                f"Airflow answered {response.status_code} to {method} {path}.",
                next_step=f"See {self.airflow.log_path}.",
            )
        return response.json()

    def _send(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        try:
            if "Authorization" not in self._http.headers:
                self._log_in()
            return self._http.request(method, f"/api/v2{path}", **options)
        except httpx.HTTPError as error:
            check_alive(self.airflow)
            raise TryAgain(
                f"Airflow does not answer at {self.airflow.url}: {type(error).__name__}.",
                next_step="Run the same command again.",
            ) from error

    def _log_in(self) -> None:
        credentials = self.airflow.credentials()
        if credentials is None:
            raise TryAgain("Airflow has no password yet.", next_step="Run the same command again.")
        reply = self._http.post("/auth/token", json={"username": credentials[0], "password": credentials[1]})
        if reply.is_error:
            raise TryAgain(
                f"Airflow refused its own password ({reply.status_code}).",
                next_step="`make down`, then the same command again.",
            )
        self._http.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
