"""The functions behind the Airflow tasks: each runs one command and turns its outcome into Airflow's words.

Exit codes 0 → success, 1 and 75 → a retry, 2 and 3 → failed for good; the verdict "skipped" → a visible skip. Only ids and
group names travel by XCom; `spavl_run` is called so because `run_id` is Airflow's own. Everything but Airflow's exceptions is imported inside the functions: DAG files import this module.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

if TYPE_CHECKING:
    from spavl.config import LaunchConfig
    from spavl.outcome import Outcome

NEVER_RETRIED = (2, 3)  # a user's mistake, a failed check: the same command cannot end otherwise
SHORT_TIMEOUT_S = 900.0  # of commands that belong to no stage and only read and write the store
FORM_FIELDS = {"method": "training.method", "base_model": "training.base.path", "channel": "release.channel"}


def plan(params: Mapping[str, Any] | None = None, dag_run: Any = None) -> str:
    """Write the run's plan and return its spavl run id; skipped, with the reason, where there is nothing to do."""
    outcome = _run(plan_argv(params or {}, dag_run.dag_id, dag_run.run_id, dag_run.logical_date))
    if outcome.verdict == "skipped":
        raise AirflowSkipException(outcome.error or outcome.next_step or "There is nothing to do.")
    return outcome.run_id


def prepare(stage: str, spavl_run: str) -> list[dict[str, Any]]:
    """Write a stage's work list; returns the groups that have something to do: [{"group", "num_shards"}].

    Skipped, with the reason, where the run's method does not need the stage.
    """
    from spavl.launch.command import stage_command

    outcome = _run_in_plan(spavl_run, stage_command(stage, "prepare", spavl_run))
    if outcome.verdict == "skipped":
        raise AirflowSkipException(outcome.next_step)
    groups = outcome.groups
    return [
        {"group": group["group"], "num_shards": group["num_shards"]}
        for group in groups
        if group["num_shards"]
    ]


def work(stage: str, spavl_run: str, group: Mapping[str, Any]) -> None:
    """Run all shards of one group; what is finished already costs nothing."""
    from spavl.launch import LAUNCHERS
    from spavl.launch.command import num_processes

    launch = _launch_config(spavl_run)
    _finish(
        lambda: LAUNCHERS[launch.kind](
            stage,
            spavl_run,
            group["group"],
            group["num_shards"],
            max_parallel=launch.max_parallel_shards,
            num_processes=num_processes(stage, launch),
            timeout_s=launch.timeout_s,
            num_threads=launch.num_threads,
        )
    )


def seal(stage: str, spavl_run: str) -> str:
    """Check and record a stage; returns the run id."""
    from spavl.launch.command import stage_command

    return _run_in_plan(spavl_run, stage_command(stage, "seal", spavl_run)).run_id


def report(spavl_run: str) -> str:
    """Write the run's report, however far the run came."""
    from spavl.launch.command import report_command

    if not spavl_run:
        raise AirflowSkipException("This run has no plan, so there is nothing to report.")
    return _run(report_command(spavl_run)).run_id


def rollback(params: Mapping[str, Any] | None = None) -> str:
    """Move a channel back by one new entry; returns the run whose release it points to now."""
    from spavl.launch.command import rollback_command

    params = params or {}
    return _run(rollback_command(params["channel"], to=params.get("to"), reason=params["reason"])).run_id


def plan_argv(params: Mapping[str, Any], dag_id: str, airflow_run_id: str, logical_date: Any) -> list[str]:
    """`spavl plan` for what the form says; a run that an asset woke has no logical date."""
    from spavl.launch.command import plan_command

    return plan_command(
        dag_id,
        airflow_run_id,
        params.get("profile") or default_profile(),
        overrides=overrides_of(params),
        logical_date=logical_date.isoformat() if logical_date else None,
        dataset_run=params.get("dataset_version"),
    )


def overrides_of(params: Mapping[str, Any]) -> list[str]:
    """`--set` values of a form: its named fields that are filled in, then the free ones, which win."""
    named = [f"{key}={params[field]}" for field, key in FORM_FIELDS.items() if params.get(field)]
    return [*named, *(params.get("overrides") or [])]


def default_profile() -> str:
    """The profile of runs whose form names none: SPAVL_PROFILE, or the demo's."""
    return os.environ.get("SPAVL_PROFILE") or "demo"


def one_line(outcome: Outcome, exit_code: int) -> str:
    """Stage and step, what was wrong with the value seen and the limit, and the next step, on one line."""
    where = " ".join(word for word in (outcome.stage, outcome.step) if word)
    return " ".join(f"{where} (exit {exit_code}): {outcome.error} {outcome.next_step}".split())


def _launch_config(spavl_run: str) -> LaunchConfig:
    from spavl.artifacts.store import open_store
    from spavl.plan import read_plan

    if not spavl_run:
        raise AirflowException(
            "`plan` has not returned the run's id: is it being run again? This task tries again."
        )
    return read_plan(open_store(), spavl_run).resolved.launch


def _run_in_plan(spavl_run: str, argv: Sequence[str]) -> Outcome:
    launch = _launch_config(spavl_run)
    return _run(argv, timeout_s=launch.timeout_s, num_threads=launch.num_threads)


def _run(argv: Sequence[str], *, timeout_s: float = SHORT_TIMEOUT_S, num_threads: int = 1) -> Outcome:
    """Run one command here, streaming its lines into the task's log."""
    from spavl.launch import run_command

    return _finish(lambda: run_command(argv, timeout_s=timeout_s, num_threads=num_threads))


def _finish(step: Callable[[], Outcome]) -> Outcome:
    from spavl.launch import StepFailed

    try:
        with _stopped_by_sigterm():
            outcome = step()
    except StepFailed as failure:
        kind = AirflowFailException if failure.exit_code in NEVER_RETRIED else AirflowException
        raise kind(one_line(failure.outcome, failure.exit_code)) from None
    print(f"{outcome.verdict}: " + ", ".join(f"{name} {value}" for name, value in outcome.counts.items()))
    return outcome


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Inside, SIGTERM raises, so that the launcher stops its processes; Airflow's own handler only calls `on_kill`."""

    def stop(signum: int, frame: object) -> None:
        raise AirflowException("stopped by SIGTERM; the next try goes on where this one was.")

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
