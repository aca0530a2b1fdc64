"""The functions behind the Airflow tasks: each runs one command and turns its outcome into Airflow's words.

Exit codes 0 → success, 1 and 75 → a retry, 2 and 3 → failed for good; the verdict "skipped" → a visible skip. Only ids and
group names travel by XCom; `spavl_run` is called so because `run_id` is Airflow's own. Everything but Airflow's exceptions is imported inside the functions: DAG files import this module.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

if TYPE_CHECKING:
    from spavl.launch.ending import Subject
    from spavl.outcome import Outcome
    from spavl.plan import Plan

T = TypeVar("T")

NEVER_RETRIED = (2, 3)  # a user's mistake, a failed check: the same command cannot end otherwise
SHORT_TIMEOUT_S = 900.0  # of commands that belong to no stage and only read and write the store
FORM_FIELDS = {"method": "training.method", "base_model": "training.base.path", "channel": "release.channel"}


def plan(params: Mapping[str, Any] | None = None, dag_run: Any = None) -> str:
    """Write the run's plan and return its spavl run id; skipped, with the reason, where there is nothing to do.

    On a cluster, what former runs left there unwatched is removed first.
    """
    sweep(params or {})
    outcome = _run(plan_argv(params or {}, dag_run.dag_id, dag_run.run_id, dag_run.logical_date))
    if outcome.verdict == "skipped":
        raise AirflowSkipException(outcome.error or outcome.next_step or "There is nothing to do.")
    return outcome.run_id


def report(spavl_run: str) -> str:
    """Write the run's report, however far the run came."""
    from spavl.launch.command import report_command

    if not spavl_run:
        raise AirflowSkipException("This run has no plan, so there is nothing to report.")
    return _run(report_command(spavl_run)).run_id


def rollback(params: Mapping[str, Any] | None = None, dag_run: Any = None) -> str:
    """Move a channel back by one new entry, however often the task is tried; returns the run whose release it points to now."""
    from spavl.launch.command import rollback_command

    params = params or {}
    asked = rollback_command(
        params["channel"], to=params.get("to"), reason=params["reason"], name=dag_run.run_id
    )
    return _run(asked).run_id


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


def sweep(params: Mapping[str, Any]) -> None:
    """Remove what nobody watches any more; whatever goes wrong with it is printed and stops nothing."""
    from spavl.profiles import load_config

    try:
        config = load_config(params.get("profile") or default_profile(), overrides_of(params))
        if config.launch.kind != "kubernetes":
            return
        from spavl.launch.sweep import sweep as sweep_cluster

        swept = asyncio.run(sweep_cluster(config.launch, config.installation))
    except Exception as error:  # a night without a sweep is still a night
        print(f"the sweep failed: {error or type(error).__name__}")
        return
    for words in swept.removed:
        print(f"removed {words}")


def plan_of(spavl_run: str) -> Plan:
    """The plan that the run's `plan` task wrote."""
    from spavl.artifacts.store import open_store
    from spavl.plan import read_plan

    if not spavl_run:
        raise AirflowException(
            "`plan` has not returned the run's id: is it being run again? This task tries again."
        )
    return read_plan(open_store(), spavl_run)


def done_already(plan: Plan, stage: str, step: str, group: Mapping[str, Any] | None) -> Outcome | None:
    """The outcome of a step that a former try has done; None if there is something to start."""
    from spavl.artifacts.store import open_store
    from spavl.finished import finished

    name = group["group"] if group else None
    outcome = in_airflows_words(lambda: finished(open_store(), plan, stage, step, name))
    if outcome is not None:
        say(outcome)
    return outcome


def run_locally(plan: Plan, stage: str, step: str, group: Mapping[str, Any] | None) -> Outcome:
    """A step as processes of this worker."""
    from spavl.launch import LAUNCHERS

    launcher = LAUNCHERS["local"]
    if group is None:
        return _finish(lambda: launcher.step(plan, stage, step))
    return _finish(lambda: launcher.group(plan, stage, group["group"], group["num_shards"]))


def waited_for(call: Callable[[], Coroutine[Any, Any, T]], subject: Subject) -> T:
    """The result of a short piece of work with the cluster, with errors and SIGTERM in Airflow's words."""
    from spavl.errors import SpavlError
    from spavl.launch import StepFailed

    try:
        with _stopped_by_sigterm():
            return asyncio.run(call())
    except StepFailed as failure:
        raise _as_airflow_says(failure.outcome) from None
    except SpavlError as error:
        raise told(subject, error.message, error.next_step, error.exit_code) from None


def in_airflows_words(call: Callable[[], T]) -> T:
    """The result of a call that reads or writes the store, with its errors in Airflow's words."""
    from spavl.errors import SpavlError

    try:
        return call()
    except SpavlError as error:
        kind = AirflowFailException if error.exit_code in NEVER_RETRIED else AirflowException
        raise kind(str(error)) from None


def told(subject: Subject, error: str, next_step: str, exit_code: int) -> AirflowException:
    """Airflow's exception for an error of the launcher itself."""
    from spavl.outcome import Outcome

    outcome = Outcome(subject.stage, subject.step, subject.run_id, exit_code=exit_code)
    return _as_airflow_says(replace(outcome, error=error, next_step=next_step))


def returned(step: str, outcome: Outcome) -> Any:
    """What a step gives to those that follow: groups that have something to do, the run id, or nothing."""
    if step == "work":
        return None
    if step == "seal":
        return outcome.run_id
    if outcome.verdict == "skipped":
        raise AirflowSkipException(outcome.next_step)
    return [
        {"group": group["group"], "num_shards": group["num_shards"]}
        for group in outcome.groups
        if group["num_shards"]
    ]


def _run(argv: Sequence[str]) -> Outcome:
    """Run one command here, streaming its lines into the task's log."""
    from spavl.launch import run_command

    return _finish(lambda: run_command(argv, timeout_s=SHORT_TIMEOUT_S))


def _finish(step: Callable[[], Outcome]) -> Outcome:
    from spavl.launch import StepFailed

    try:
        with _stopped_by_sigterm():
            outcome = step()
    except StepFailed as failure:
        raise _as_airflow_says(failure.outcome) from None
    say(outcome)
    return outcome


def say(outcome: Outcome) -> None:
    """The end of a step, for the task's log."""
    print(f"{outcome.verdict}: " + ", ".join(f"{name} {value}" for name, value in outcome.counts.items()))


def _as_airflow_says(outcome: Outcome) -> AirflowException:
    kind = AirflowFailException if outcome.exit_code in NEVER_RETRIED else AirflowException
    return kind(one_line(outcome, outcome.exit_code))


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
