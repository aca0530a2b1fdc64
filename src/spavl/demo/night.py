"""One night on a laptop: teach the tiny world, draw tonight's images, let Airflow run the line, say what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import spavl
from spavl.artifacts import channel
from spavl.artifacts.store import open_store
from spavl.config import spavl_home
from spavl.demo import standalone
from spavl.demo.airflow_api import AirflowApi
from spavl.demo.following import Screen
from spavl.demo.summary import ALIGN, REFRESH
from spavl.demo.telling import finish
from spavl.demo.watching import POLL_S, Ended, Night, follow
from spavl.errors import EXIT_DONE, TryAgain
from spavl.profiles import load_config

FIRST_NIGHT, LATER_NIGHTS = (
    (6, 40),
    (1, 6),
)  # pictures per harm class and per benign concept: twice as many benign ones, asked about less often
WAKE_TIMEOUT_S = 120.0  # an asset event wakes its DAG within seconds
SCHEDULE_POLLS = 20
WORLD_SEED = 0


def up(screen: Screen | None = None) -> int:
    """Run tonight to its end and print its summary; returns the exit code."""
    # read when torch is imported: two threads are slower than one for tiny models
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    screen = screen or Screen()
    night = _begin(screen)
    try:
        under_way = _under_way(night)
        if not under_way:
            _teach_and_draw(night)
        return finish(night, _run_line(night, under_way))
    except KeyboardInterrupt:
        screen.say(f"\nStopped watching. Airflow goes on at {night.airflow.url}.")
        screen.say("`make demo` watches again, `make down` stops it.")
        return 130


def down(screen: Screen | None = None) -> int:
    """Stop the Airflow that `up` started, and nothing else."""
    num_stopped = standalone.stop()
    words = (
        f"Stopped Airflow ({num_stopped} processes)." if num_stopped else "Nothing started here is running."
    )
    (screen or Screen()).say(words)
    return EXIT_DONE


def _begin(screen: Screen) -> Night:
    config, store = load_config(os.environ.get("SPAVL_PROFILE") or "demo"), open_store()
    head = channel.head(store, config.dataset.channel)
    found = standalone.running()
    airflow = found or standalone.start(dags_folder())
    word = "is running" if found else "is starting"
    screen.say(f"Airflow {word} at {airflow.url} (log: {airflow.log_path}).")
    number = 1 + (head.number if head else 0)
    return Night(screen, store, config, airflow, AirflowApi(airflow), number, was_running=found is not None)


def dags_folder() -> Path:
    """AIRFLOW__CORE__DAGS_FOLDER, or the checkout's `dags`."""
    chosen = os.environ.get("AIRFLOW__CORE__DAGS_FOLDER")
    return Path(chosen or Path(spavl.__file__).parents[2] / "dags").resolve()


def _under_way(night: Night) -> dict[str, str]:
    """The run that an interrupted `make demo` or the schedule has left going: {DAG: Airflow run id}, or nothing."""
    if not night.was_running:
        return {}
    _wait_until_ready(night)
    for dag_id in (REFRESH, ALIGN):
        if found := night.api.active_run(dag_id):
            night.screen.say(f"A run of {dag_id} is under way: watching it.")
            return {dag_id: found}
    return {}


def _teach_and_draw(night: Night) -> None:
    from spavl.demo.picture_folder import Batch, draw_folder
    from spavl.demo.world import teach_world

    def tell(done: int, total: int, note: str) -> None:
        night.screen.progress("teaching the tiny models", done, total, note)

    demo = spavl_home() / "demo"
    teach_world(demo / "world", WORLD_SEED, tell)
    num_drawn = draw_folder(demo / "images", Batch(*FIRST_NIGHT), Batch(*LATER_NIGHTS), night.number)
    night.screen.say(
        f"Night {night.number}: {num_drawn} new pictures, harmless coloured shapes that stand for classes."
    )


def _wait_until_ready(night: Night) -> None:
    for missing in night.api.wait_until_ready((REFRESH, ALIGN)):
        night.screen.progress("waiting for Airflow", 0, 1, missing)


def _run_line(night: Night, under_way: Mapping[str, str]) -> Ended:
    """Both DAGs, one after the other; the second is woken by the first one's asset."""
    _wait_until_ready(night)
    for dag_id in (ALIGN, REFRESH):  # first the one to be woken: an event does not wake a paused DAG
        night.api.unpause(dag_id)
    if ALIGN not in under_way:
        ended = follow(night, REFRESH, under_way.get(REFRESH) or _tonights_run(night))
        if ended.verdict == "failed":
            return ended
    return follow(night, ALIGN, under_way.get(ALIGN) or _woken_run(night))


def _tonights_run(night: Night) -> str:
    """The run that the schedule is about to start by itself, because its time has passed; otherwise a new one."""
    for _ in range(SCHEDULE_POLLS):
        if found := night.api.active_run(REFRESH):
            return found
        if not night.api.is_due(REFRESH):
            break
        time.sleep(POLL_S)
    return night.api.trigger(REFRESH)


def _woken_run(night: Night) -> str:
    deadline = time.monotonic() + WAKE_TIMEOUT_S
    while not (found := night.api.woken_run(REFRESH, night.airflow_runs[REFRESH], ALIGN)):
        if time.monotonic() > deadline and not night.api.active_run(ALIGN):
            raise TryAgain(
                f"the asset has not woken {ALIGN} after {WAKE_TIMEOUT_S:.0f} s.",
                next_step=f"Look at {night.airflow.url}/dags/{ALIGN}.",
            )
        time.sleep(POLL_S)
    return found
