"""The Airflow image under the official chart: the commands of its containers, its probes, its log groomer. Only the scripts run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.image_contents import ROOT, dockerfile

SCRIPTS = ROOT / "containers" / "airflow"
DAY_S = 86_400


@pytest.fixture
def path_with_airflow(tmp_path: Path) -> str:
    """A PATH whose `airflow` says what it was asked."""
    airflow = tmp_path / "bin" / "airflow"
    airflow.parent.mkdir()
    airflow.write_text(
        '#!/bin/sh\necho "airflow: $*; $(umask); ${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC:-}"\n'
    )
    airflow.chmod(0o755)
    return f"{airflow.parent}:{os.environ['PATH']}"


def entrypoint(path: str, *command: str, **environment: str) -> str:
    finished = subprocess.run(
        [str(SCRIPTS / "entrypoint"), *command],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout.strip()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["airflow", "db", "check-migrations", "--migration-wait-timeout=60"], "db check-migrations --migration-wait-timeout=60"),
        (["bash", "-c", "exec airflow scheduler"], "scheduler"),
        (["bash", "-c", "exec \\\nairflow db migrate"], "db migrate"),
        (["sh", "-c", "CONNECTION_CHECK_MAX_COUNT=0 exec /bin/sh -c 'airflow jobs check'"], "jobs check"),
        (["version"], "version"),
        (["triggerer"], "triggerer"),
    ],
)  # fmt: skip
def test_commands_of_the_official_chart_reach_airflow(
    path_with_airflow: str, command: list[str], said: str
) -> None:
    assert entrypoint(path_with_airflow, *command) == f"airflow: {said}; 0002;"


def test_a_task_started_by_python_is_not_given_to_airflow(path_with_airflow: str) -> None:
    assert entrypoint(path_with_airflow, "sh", "-c", "echo mine") == "mine"


@pytest.mark.parametrize(
    ("connection", "asynchronous"),
    [
        ("postgresql://u:p@db/a?sslmode=disable", "postgresql+asyncpg://u:p@db/a?ssl=disable"),
        ("postgresql+psycopg2://db/a?x=1&sslmode=require", "postgresql+asyncpg://db/a?x=1&ssl=require"),
        ("postgresql://sslmode:p@db/airflow", ""),
        ("sqlite:////opt/airflow/airflow.db", ""),
    ],
)
def test_the_database_is_asked_asynchronously_with_its_own_parameters(
    path_with_airflow: str, connection: str, asynchronous: str
) -> None:
    said = entrypoint(path_with_airflow, "version", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=connection)
    assert said.rpartition(";")[2].strip() == asynchronous


def test_a_given_asynchronous_connection_is_kept(path_with_airflow: str) -> None:
    said = entrypoint(
        path_with_airflow,
        "version",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql://db/airflow?sslmode=disable",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC="postgresql+asyncpg://db/other",
    )
    assert said.endswith("postgresql+asyncpg://db/other")


def test_the_charts_probes_and_groomer_find_their_scripts() -> None:
    (line,) = [line for line in dockerfile("airflow") if line.startswith("COPY --chmod=755")]
    assert line.split()[2:] == ["containers/airflow/entrypoint", "containers/airflow/clean-logs", "/"]


def test_old_logs_are_removed_and_new_ones_and_other_files_kept(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    (logs / "run").mkdir(parents=True)
    for name, age_days in (("old.log", 20), ("new.log", 1), ("old.txt", 20)):
        file = logs / "run" / name
        file.write_text("x")
        os.utime(file, (time.time() - age_days * DAY_S,) * 2)
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__LOG_RETENTION_DAYS": "15",
    }
    with subprocess.Popen([str(SCRIPTS / "clean-logs")], env=environment) as groomer:
        try:
            _until(lambda: not (logs / "run" / "old.log").exists())
            groomer.send_signal(signal.SIGTERM)
            groomer.wait(timeout=20)
        finally:
            groomer.kill()
    assert sorted(file.name for file in (logs / "run").iterdir()) == ["new.log", "old.txt"]


def _until(is_so, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
