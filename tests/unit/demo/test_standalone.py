"""Starting Airflow on a free port, finding it again, and stopping it and nothing else."""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import asdict

import psutil
import pytest

from spavl.demo import standalone
from spavl.demo.standalone import MARKER, Airflow
from spavl.errors import UserError

OURS = f"ours-{uuid.uuid4()}"  # another test process on this machine has its own
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def sleeping(marker: str | None) -> subprocess.Popen:
    """A process in its own session, as Airflow's tasks are."""
    extra = {MARKER: marker} if marker else {}
    return subprocess.Popen(SLEEP, env={**os.environ, **extra}, start_new_session=True)


def recorded(process: subprocess.Popen, **changes) -> Airflow:
    """`standalone.json` as `start` leaves it, for this process."""
    home = standalone.airflow_home()
    home.mkdir(parents=True, exist_ok=True)
    values = {
        "pid": process.pid,
        "pid_started_at": psutil.Process(process.pid).create_time(),
        "marker": OURS,
        "port": 1,
        "dags_folder": "d",
        "home": str(home),
    }
    airflow = Airflow(**{**values, **changes})
    (home / "standalone.json").write_text(json.dumps(asdict(airflow)))
    return airflow


@pytest.fixture
def processes():
    """One of ours, its task in another session, and a stranger."""
    made = [sleeping(OURS), sleeping(OURS), sleeping("another's"), sleeping(None)]
    yield made
    for process in made:
        process.kill()
        process.wait()


def test_stopping_ends_what_was_started_here_and_nothing_else(processes):
    recorded(processes[0])
    assert standalone.stop() == 2
    assert [process.poll() is None for process in processes] == [False, False, True, True]
    assert standalone.running() is None


def test_a_worker_that_wrote_its_title_over_its_environment_is_stopped_too(tmp_path):
    """As Airflow's local executor does: its forked workers have no readable environment, only a title and a session."""
    note = tmp_path / "pid"
    program = (
        "import os, time, setproctitle\n"
        "if os.fork() == 0:\n"
        "    setproctitle.setproctitle('airflow worker -- LocalExecutor: <idle>')\n"
        f"    open({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    leader = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, MARKER: OURS}, start_new_session=True
    )
    while not (note.exists() and note.read_text()):
        time.sleep(0.05)
    worker = psutil.Process(int(note.read_text()))
    assert MARKER not in worker.environ()
    recorded(leader)
    leader.kill()
    leader.wait()
    assert standalone.stop() == 1
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_stopping_twice_is_no_mistake(processes):
    recorded(processes[0])
    standalone.stop()
    assert standalone.stop() == 0


def test_a_started_airflow_is_found_again(processes):
    airflow = recorded(processes[0])
    assert standalone.running() == airflow


def test_another_process_with_the_recorded_id_is_not_taken_for_ours(processes):
    recorded(processes[0], pid_started_at=1.0)
    assert standalone.running() is None
    recorded(processes[3])
    assert standalone.running() is None


def test_a_damaged_record_is_no_running_airflow(spavl_home):
    (spavl_home / "airflow").mkdir(parents=True)
    (spavl_home / "airflow" / "standalone.json").write_text("{")
    assert standalone.running() is None
    assert standalone.stop() == 0


def test_a_taken_port_is_passed_over(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(standalone, "FIRST_PORT", taken.getsockname()[1])
        assert standalone.free_port() != taken.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_taken_is_refused(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SPAVL_AIRFLOW_PORT", str(taken.getsockname()[1]))
        with pytest.raises(UserError, match="is taken"):
            standalone.free_port()


@pytest.mark.parametrize("port", ["80", "eighty", "70000"])
def test_what_is_no_port_is_refused(monkeypatch, port):
    monkeypatch.setenv("SPAVL_AIRFLOW_PORT", port)
    with pytest.raises(UserError, match="not a port"):
        standalone.free_port()


def test_airflow_listens_here_only_with_a_password_and_two_tasks_at_once(tmp_path):
    settings = standalone.settings(tmp_path, 8123, tmp_path / "dags")
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert settings["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8123"
    assert settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    assert settings["AIRFLOW__CORE__PARALLELISM"] == "2"
    assert settings["PATH"].startswith(os.path.dirname(sys.executable))


def test_a_folder_without_dags_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(UserError, match="no DAGs"):
        standalone.start(tmp_path)


def test_the_end_of_the_log_never_shows_a_password(tmp_path):
    airflow = Airflow(1, 1.0, "m", 1, "d", str(tmp_path))
    airflow.log_path.write_text("one\nPassword for user 'admin': hunter2\nlast\n")
    assert standalone.last_log_lines(airflow) == "one\nlast"
