"""What the task functions make of a form, of an outcome and of SIGTERM."""

import datetime
import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from spavl.airflow import tasks
from spavl.launch import command
from spavl.outcome import Outcome

RUN = "20261123-0123456789"


def ending_with(outcome: Outcome, exit_code: int = 0) -> list[str]:
    """argv of a process that prints an outcome line and ends."""
    return [sys.executable, "-c", f"import sys; print({outcome.to_line()!r}); sys.exit({exit_code})"]


def test_the_named_fields_of_a_form_become_overrides_and_the_free_ones_come_last():
    form = {"method": "dpo", "base_model": "/m", "channel": "candidate", "overrides": ["training.beta=0.2"]}
    assert tasks.overrides_of(form) == [
        "training.method=dpo",
        "training.base.path=/m",
        "release.channel=candidate",
        "training.beta=0.2",
    ]


def test_an_empty_form_overrides_nothing():
    assert tasks.overrides_of({"base_model": None, "channel": None, "overrides": []}) == []


def test_the_plan_of_a_run_that_an_asset_woke_has_no_date():
    argv = tasks.plan_argv({"profile": "cluster"}, "align_model", "asset__1", None)
    assert argv == command.plan_command("align_model", "asset__1", "cluster")


def test_the_form_reaches_the_plans_argv(monkeypatch):
    monkeypatch.delenv("SPAVL_PROFILE", raising=False)
    night = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)
    argv = tasks.plan_argv({"dataset_version": RUN, "channel": "x"}, "align_model", "m__1", night)
    assert argv[1:] == [
        "-m", "spavl", "plan", "--dag", "align_model", "--airflow-run-id", "m__1", "--profile", "demo",
        "--set", "release.channel=x", "--logical-date", "2026-11-23T00:00:00+00:00", "--dataset-run", RUN,
    ]  # fmt: skip


def test_the_installation_names_the_profile_of_an_empty_form(monkeypatch):
    monkeypatch.setenv("SPAVL_PROFILE", "cluster")
    assert "cluster" in tasks.plan_argv({}, "refresh_preferences", "r", None)


@pytest.mark.parametrize("exit_code", [2, 3])
def test_a_mistake_and_a_failed_check_are_never_tried_again(exit_code):
    outcome = Outcome(
        "evaluation",
        "seal",
        RUN,
        "failed",
        exit_code,
        error="unsafe_rate is 0.41, at most 0.2.",
        next_step="Look at it.",
    )
    with pytest.raises(AirflowFailException) as caught:
        tasks._run(ending_with(outcome, exit_code))
    assert (
        str(caught.value)
        == f"evaluation seal (exit {exit_code}): unsafe_rate is 0.41, at most 0.2. Look at it."
    )


@pytest.mark.parametrize("exit_code", [1, 75])
def test_a_bug_and_a_service_that_is_away_are_tried_again(exit_code):
    with pytest.raises(AirflowException) as caught:
        tasks._run(
            ending_with(
                Outcome("images", "work", RUN, "again", exit_code, error="the store is away."), exit_code
            )
        )
    assert not isinstance(caught.value, AirflowFailException)


def test_a_process_that_was_killed_is_tried_again():
    with pytest.raises(AirflowException) as caught:
        tasks._run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert not isinstance(caught.value, AirflowFailException)


def test_nothing_to_do_is_a_skip_with_the_reason(monkeypatch):
    skipped = Outcome("plan", run_id=RUN, verdict="skipped", next_step="already aligned: run R")
    monkeypatch.setattr(tasks, "plan_argv", lambda *form: ending_with(skipped))
    run = SimpleNamespace(dag_id="align_model", run_id="r", logical_date=None)
    with pytest.raises(AirflowSkipException, match="already aligned: run R"):
        tasks.plan({}, run)


def test_a_run_without_a_plan_has_no_report_and_says_so():
    with pytest.raises(AirflowSkipException, match="no plan"):
        tasks.report("")


def test_a_stage_whose_plan_is_being_run_again_tries_again():
    with pytest.raises(AirflowException) as caught:
        tasks.plan_of("")
    assert not isinstance(caught.value, AirflowFailException)


def test_a_step_returns_what_those_that_follow_need():
    groups = [
        {"group": "a", "num_shards": 2, "num_items": 9},
        {"group": "b", "num_shards": 0, "num_items": 0},
    ]
    assert tasks.returned("prepare", Outcome("images", "prepare", RUN, groups=groups)) == [
        {"group": "a", "num_shards": 2}
    ]
    assert tasks.returned("work", Outcome("images", "work", RUN)) is None
    assert tasks.returned("seal", Outcome("images", "seal", RUN)) == RUN


def test_a_stage_that_the_method_leaves_out_is_a_skip_with_the_reason():
    skipped = Outcome("reward", "prepare", RUN, verdict="skipped", next_step="training.method is dpo")
    with pytest.raises(AirflowSkipException, match=r"training\.method is dpo"):
        tasks.returned("prepare", skipped)


def test_the_plan_of_a_local_profile_sweeps_nothing(capsys):
    tasks.sweep({"profile": "demo"})
    assert capsys.readouterr().out == ""


def test_the_plan_on_a_cluster_first_removes_what_nobody_watches(api, tmp_path, monkeypatch, capsys):
    profile = tmp_path / "profile.yaml"
    profile.write_text("installation: here\nlaunch: {kind: kubernetes, namespace: spavl}")
    labels = {"app.kubernetes.io/managed-by": "spavl", "app.kubernetes.io/instance": "here"}
    api.put(
        "batch/jobs",
        {"metadata": {"name": "orphan", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"}},
    )
    monkeypatch.setattr(tasks, "plan_argv", lambda *form: ending_with(Outcome("plan", run_id=RUN)))
    run = SimpleNamespace(dag_id="align_model", run_id="r", logical_date=None)
    assert tasks.plan({"profile": str(profile)}, run) == RUN
    assert api.of("batch/jobs") == [] and "removed Job spavl/orphan" in capsys.readouterr().out


def test_a_sweep_that_fails_is_printed_and_stops_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    profile = tmp_path / "profile.yaml"
    profile.write_text("launch: {kind: kubernetes}")
    tasks.sweep({"profile": str(profile)})
    assert "the sweep failed: there are no usable credentials" in capsys.readouterr().out


def test_sigterm_stops_the_command_and_leaves_airflows_handler_in_place(tmp_path):
    mark = tmp_path / "pid"
    argv = [
        sys.executable,
        "-c",
        f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)",
    ]
    former = signal.getsignal(signal.SIGTERM)

    def kill_when_started() -> None:
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=kill_when_started).start()
    with pytest.raises(AirflowException, match="SIGTERM"):
        tasks._run(argv)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
    assert signal.getsignal(signal.SIGTERM) is former
