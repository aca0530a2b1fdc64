"""Commands that plan, and run all stages: `plan` and `run`."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import sys
import uuid
from collections.abc import Iterator

from spavl.artifacts.store import open_store
from spavl.decision import in_words
from spavl.errors import SpavlError, UserError
from spavl.finished import finished
from spavl.launch import LAUNCHERS, StepFailed, run_command, warm
from spavl.launch.command import report_command
from spavl.outcome import Outcome, failure_of
from spavl.pipeline import BY_NAME, DAGS
from spavl.plan import Plan, make_plan


def plan(arguments: argparse.Namespace) -> Outcome:
    made = make_plan(
        open_store(),
        dag=arguments.dag,
        airflow_run_id=arguments.airflow_run_id,
        profile=arguments.profile,
        overrides=arguments.overrides,
        logical_date=_time(arguments.logical_date),
        dataset_run=arguments.dataset_run,
    )
    _say_decision(made)
    return _plan_outcome(made)


def run(arguments: argparse.Namespace) -> Outcome:
    """Plan and run both DAGs' stages through the profile's launcher, the code path that Airflow takes."""
    name = arguments.name or f"cli-{uuid.uuid4().hex[:8]}"
    outcome = Outcome("run")
    for dag in [arguments.dag] if arguments.dag else list(DAGS):
        made = make_plan(
            open_store(),
            dag=dag,
            airflow_run_id=name,
            profile=arguments.profile,
            overrides=arguments.overrides,
        )
        _say(f"{dag}: run {made.run_id}")
        if made.skip_reason:
            _say(f"{dag}: skipped: {made.skip_reason}")
            outcome = _plan_outcome(made)
            continue
        _say_decision(made)
        with _warm() if made.resolved.launch.kind == "local" else contextlib.nullcontext():
            outcome = _run_stages(made, made.stages)
        if outcome.exit_code:
            break
    return outcome


@contextlib.contextmanager
def _warm() -> Iterator[None]:
    """Inside, the steps are forked from one process that has imported the libraries."""
    if warm.SOCKET in os.environ:
        yield
        return
    with warm.warm_server() as variables:
        os.environ.update(variables)
        try:
            yield
        finally:
            del os.environ[warm.SOCKET]


def _run_stages(made: Plan, stages: tuple[str, ...]) -> Outcome:
    """Every stage through the launcher; the report is written also after a failure."""
    launch = made.resolved.launch
    outcome = Outcome("run", run_id=made.run_id)
    try:
        for name in stages:
            outcome = _run_stage(name, made)
            _say(
                f"{name}: {outcome.verdict}, "
                + ", ".join(f"{value} {key}" for key, value in outcome.counts.items())
            )
    except StepFailed as failure:
        outcome = failure.outcome
        _say(f"{outcome.stage}: {outcome.verdict}: {outcome.error} {outcome.next_step}".rstrip())
    report = run_command(report_command(made.run_id), timeout_s=launch.timeout_s, on_line=_say)
    return Outcome(
        "run",
        outcome.stage,
        made.run_id,
        outcome.verdict,
        outcome.exit_code,
        outcome.counts,
        [],
        outcome.error,
        outcome.next_step,
        report.links,
    )


def _run_stage(name: str, made: Plan) -> Outcome:
    launcher = LAUNCHERS[made.resolved.launch.kind]
    if BY_NAME[name].is_sharded:
        prepared = _done(made, name, "prepare") or launcher.step(made, name, "prepare", on_line=_say)
        for group in prepared.groups:
            if group["num_shards"] and not _done(made, name, "work", group["group"]):
                launcher.group(made, name, group["group"], group["num_shards"], on_line=_say)
    return _done(made, name, "seal") or launcher.step(made, name, "seal", on_line=_say)


def _done(made: Plan, name: str, step: str, group: str | None = None) -> Outcome | None:
    """The outcome of a step that is done already, or None; raises StepFailed if it cannot be done or the store is away."""
    try:
        return finished(open_store(), made, name, step, group)
    except SpavlError as error:
        raise StepFailed(failure_of(error, name, step, made.run_id)) from None


def _plan_outcome(made: Plan) -> Outcome:
    verdict = "skipped" if made.skip_reason else "done"
    counts = {"reuse_runs": len(made.reuse_runs)}
    if made.decision:
        counts |= {"decision_number": made.decision_number, "references": len(made.references)}
        counts |= {name: made.decision[name] for name in ("harm_prompts", "benign_prompts")}
    return Outcome(
        "plan",
        run_id=made.run_id,
        verdict=verdict,
        counts=counts,
        next_step=made.skip_reason,
    )


def _say_decision(made: Plan) -> None:
    if made.decision and not made.skip_reason:
        _say(f"{made.dag}: {in_words(made.references, made.decision_number, made.decision)}")


def _time(text: str | None) -> datetime.datetime | None:
    if not text:
        return None
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--logical-date {text!r} is not an ISO time.") from None
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
