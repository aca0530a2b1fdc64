"""One Airflow on this machine, for the demo: started in its own session, found again later, stopped as a whole.

All of its processes carry a marker in their environment, or are in the session that began with it. That, and not a number
in a file, is what is stopped: a process id may belong to somebody else by then. Run as a module, this is the small process
that keeps Airflow's parts together.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spavl.config import spavl_home
from spavl.errors import TryAgain, UserError
from spavl.launch.warm import warm_server

HOST = "127.0.0.1"
FIRST_PORT = 8080
MARKER = "SPAVL_DEMO_AIRFLOW"
# --skip-serve-logs: Airflow's log server would listen on every interface; logs are read from disk
PARTS = (
    ("api-server",),
    ("scheduler", "--skip-serve-logs"),
    ("dag-processor",),
    ("triggerer", "--skip-serve-logs"),
)
STOP_GRACE_S = 25.0  # training writes a checkpoint in this time


@dataclass(frozen=True)
class Airflow:
    """What `standalone.json` says about a started Airflow."""

    pid: int
    pid_started_at: float  # the process's own start time: a later process with this id has another
    marker: str
    port: int
    dags_folder: str
    home: str

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log_path(self) -> Path:
        return Path(self.home) / "standalone.log"

    def credentials(self) -> tuple[str, str] | None:
        """User and password that Airflow generated, or None where it has not yet."""
        try:
            passwords = json.loads(
                (Path(self.home) / "simple_auth_manager_passwords.json.generated").read_text()
            )
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return next(iter(passwords.items()), None)


def airflow_home() -> Path:
    return spavl_home() / "airflow"


def running() -> Airflow | None:
    """The Airflow that was started here and still runs, or None."""
    import psutil

    try:
        known = Airflow(**json.loads(_record_path().read_text()))
        process = psutil.Process(known.pid)
        is_ours = (
            abs(process.create_time() - known.pid_started_at) < 1
            and process.environ().get(MARKER) == known.marker
        )
    except (FileNotFoundError, json.JSONDecodeError, TypeError, psutil.Error):
        return None
    return known if is_ours and process.status() != psutil.STATUS_ZOMBIE else None


def start(dags_folder: Path) -> Airflow:
    """Start Airflow and return at once; it answers some 15 s later. Raises UserError for no DAGs folder or no free port."""
    import psutil

    if not (dags_folder / "refresh_preferences.py").is_file():
        raise UserError(
            f"there are no DAGs in {dags_folder}.",
            next_step="Run this from a checkout, or point AIRFLOW__CORE__DAGS_FOLDER at its dags/.",
        )
    if importlib.util.find_spec("airflow") is None:
        raise UserError(
            "Airflow is not installed.",
            next_step="`make demo` installs it; by hand: pip install 'spavl[demo]'.",
        )
    home, port, marker = airflow_home(), free_port(), secrets.token_hex(8)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {**os.environ, **settings(home, port, dags_folder), MARKER: marker}
    log_path = home / "standalone.log"
    with open(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "spavl.demo.standalone"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    started = Airflow(
        process.pid, psutil.Process(process.pid).create_time(), marker, port, str(dags_folder), str(home)
    )
    _record_path().write_text(json.dumps(asdict(started), indent=1))
    return started


def stop() -> int:
    """Stop every process of the Airflow started here, its tasks' included; returns how many there were."""
    import psutil

    try:
        known = Airflow(**json.loads(_record_path().read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return 0
    num_stopped, deadline = 0, time.monotonic() + 2 * STOP_GRACE_S
    # again and again: a scheduler that is being stopped may start one more process
    while (processes := _processes_of(known)) and time.monotonic() < deadline:
        num_stopped += _signal_all(processes, signal.SIGTERM)
        _, alive = psutil.wait_procs(processes, timeout=STOP_GRACE_S)
        _signal_all(alive, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=5)
    _record_path().unlink(missing_ok=True)
    return num_stopped


def settings(home: Path, port: int, dags_folder: Path) -> dict[str, str]:
    """Airflow's environment: small, local, without examples, and two tasks at once."""
    airflow = {
        "CORE__DAGS_FOLDER": dags_folder,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 2,
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": False,
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "API__HOST": HOST,
        "API__PORT": port,
        "API__BASE_URL": f"http://{HOST}:{port}",  # without it every task is refused on another port than 8080
        "API__WORKERS": 1,
        "API__INSTANCE_NAME": "spavl",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.5,  # the default second is lost between any two tasks
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 300,  # three files that hardly change, on two busy cores
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    named = {f"AIRFLOW__{name}": str(value) for name, value in airflow.items()}
    store = os.environ.get("SPAVL_STORE") or f"file://{spavl_home() / 'store'}"
    return named | {
        "AIRFLOW_HOME": str(home),
        "SPAVL_HOME": str(spavl_home()),
        "SPAVL_STORE": store,
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def free_port() -> int:
    """SPAVL_AIRFLOW_PORT where it is set, otherwise the first free port from FIRST_PORT; raises UserError for a taken one."""
    wanted = os.environ.get("SPAVL_AIRFLOW_PORT")
    if wanted and not (wanted.isdigit() and 1024 <= int(wanted) < 65536):
        raise UserError(
            f"SPAVL_AIRFLOW_PORT is {wanted!r}, not a port.", next_step="Give a number from 1024 to 65535."
        )
    candidates = [int(wanted)] if wanted else [*range(FIRST_PORT, FIRST_PORT + 20), 0]
    for port in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise UserError(
        f"port {wanted} is taken.", next_step="Set SPAVL_AIRFLOW_PORT to a free one, or unset it."
    )


def last_log_lines(airflow: Airflow, count: int = 8) -> str:
    """The end of Airflow's own log, for a message about a start that failed; lines about passwords are left out."""
    try:
        lines = airflow.log_path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in lines if "assword" not in line][-count:])


def check_alive(airflow: Airflow) -> None:
    """Raise TryAgain, with the end of the log, where the Airflow has ended."""
    if running() is None:
        raise TryAgain(
            f"Airflow has ended:\n{last_log_lines(airflow)}",
            next_step=f"The whole log is {airflow.log_path}.",
        )


def _record_path() -> Path:
    return airflow_home() / "standalone.json"


def _processes_of(known: Airflow) -> list:
    """The processes of this Airflow and of its tasks that still run, this one excepted."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get(MARKER) == known.marker or _is_in_session(process, known)
            if is_ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):  # another user's, or gone
            continue
    return found


def _is_in_session(process: Any, known: Airflow) -> bool:
    """Airflow's workers write their title over their environment, so they are known by the session they were forked in.

    A session's number is not given again while a process of it lives; the start time and the title guard the rest.
    """
    if os.getsid(process.pid) != known.pid or process.create_time() < known.pid_started_at - 1:
        return False
    return any(word.startswith("airflow") for word in process.cmdline())


def _signal_all(processes: list, number: signal.Signals) -> int:
    import psutil

    num_reached = 0
    for process in processes:
        try:
            process.send_signal(
                number
            )  # psutil checks the start time first: never a successor with the same id
        except psutil.Error:
            continue
        num_reached += 1
    return num_reached


def keep_together(environment: Mapping[str, str]) -> int:
    """Make the database, run Airflow's parts, and end all of them when one ends or SIGTERM comes."""
    with warm_server() as variables:
        return _keep_together({**environment, **variables})


def _keep_together(environment: Mapping[str, str]) -> int:
    subprocess.run(["airflow", "db", "migrate"], env=environment, check=True)
    parts = [subprocess.Popen(["airflow", *part], env=environment) for part in PARTS]

    def end(signum: int, frame: object) -> None:
        for part in parts:
            part.terminate()

    signal.signal(signal.SIGTERM, end)
    while all(part.poll() is None for part in parts):
        time.sleep(1)
    end(signal.SIGTERM, None)
    return max(abs(part.wait()) for part in parts)


if __name__ == "__main__":
    sys.exit(keep_together(os.environ))
