"""A whole DAG run in one process: a failed stage is a failed run, and the report is written nevertheless."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.approvals import RUN, write_run
from tests.cluster_api import NAMESPACE
from tests.cluster_kubelet import running_pods
from tests.line import write_profile

from spavl.artifacts.approval import decide
from spavl.artifacts.store import open_store

PROGRAM = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(sys.argv[1]).dags["refresh_preferences"]
run = dag.test(run_conf={"profile": sys.argv[2]})
tasks = run.get_task_instances()
states = {task.task_id: str(task.state) for task in tasks}
shown = [task.rendered_map_index for task in tasks if task.map_index >= 0]
print("ended:" + json.dumps({"run": str(run.state), "tasks": states, "shown": shown}))
"""
PROFILE = """
images:
  sources:
    - {name: empty, url: "%s", licence: CC0-1.0, default_class: benign}
"""


def dag_test(tmp_path: Path, dags_folder: Path, profile: Path, **variables: str) -> tuple[dict[str, Any], str]:  # fmt: skip
    """States of a run of `refresh_preferences` from this folder, and everything it wrote; triggers run inline."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}",
        **variables,
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True, timeout=200)
    command = [sys.executable, "-c", PROGRAM, str(dags_folder), str(profile)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert "ended:" in ran.stdout, ran.stdout[-3000:] + ran.stderr[-3000:]
    return json.loads(ran.stdout.split("ended:")[1].splitlines()[0]), ran.stdout + ran.stderr


@pytest.mark.slow
def test_a_failed_stage_fails_the_run_and_the_report_is_still_written(tmp_path, dags_folder, spavl_home):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    profile = tmp_path / "empty.yaml"
    profile.write_text(PROFILE % pictures)
    ended, _ = dag_test(tmp_path, dags_folder, profile)
    assert ended["run"] == "failed"
    images = {name: state for name, state in ended["tasks"].items() if name.startswith("images.")}
    assert "failed" in images.values()
    assert "up_for_retry" not in images.values()
    assert ended["tasks"]["plan"] == "success"
    assert ended["tasks"]["dataset.seal"] == "upstream_failed"
    assert ended["tasks"]["report"] == "success"
    assert len(list((spavl_home / "store" / "runs").glob("*/report.html"))) == 1


ONE_STAGE = """
from airflow.sdk import chain, dag, task
from spavl.airflow import tasks
from spavl.airflow.wiring import DEFAULT_ARGS, OVERRIDES, PROFILE, stage_group
from spavl.pipeline import BY_NAME

@dag(dag_id="refresh_preferences", default_args=DEFAULT_ARGS, params={"profile": PROFILE, "overrides": OVERRIDES})
def one_stage():
    chain(task(task_id="plan")(tasks.plan)(), stage_group(BY_NAME["images"]))

one_stage()
"""


@pytest.mark.slow
def test_on_a_cluster_every_step_defers_and_its_pod_runs_the_command_a_laptop_would(
    api, tmp_path, spavl_home, monkeypatch
):
    """The cluster is known by an Airflow connection alone, as the provider's hook reads it."""
    kubeconfig = os.environ["KUBECONFIG"]
    monkeypatch.delenv("KUBECONFIG")
    store = f"file://{spavl_home / 'store'}"
    launch = {
        "kind": "kubernetes", "namespace": NAMESPACE, "connection": "night", "poll_s": 0.2,
        "images": {"data": "registry.test/data:1"}, "env": {"SPAVL_STORE": store},
    }  # fmt: skip
    profile = write_profile(tmp_path, images={"num_shards": 2, "chunk_size": 8}, launch=launch)
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "one_stage.py").write_text(ONE_STAGE)
    connection = json.dumps({"conn_type": "kubernetes", "extra": {"kube_config_path": kubeconfig}})
    with running_pods(api, tmp_path / "pods") as ran:
        ended, said = dag_test(tmp_path, folder, profile, AIRFLOW_CONN_NIGHT=connection, SPAVL_STORE=store)
    assert ended["run"] == "success", said[-6000:]
    assert ended["shown"] == ["drawings"]
    run_id = ran[0][-1]
    assert [argv[2:] for argv in ran] == [
        ["spavl", "prepare", "images", "--run-id", run_id],
        ["spavl", "images", "--run-id", run_id, "--group", "drawings", "--shard", "0/2"],
        ["spavl", "images", "--run-id", run_id, "--group", "drawings", "--shard", "1/2"],
        ["spavl", "seal", "images", "--run-id", run_id],
    ]
    assert said.count("Pausing task as DEFERRED") == 3
    assert (spavl_home / "store" / "runs" / run_id / "images" / "record.json").exists()
    assert "is running" in said and "is made" in said


RELEASE_ONLY = """
from airflow.sdk import chain, dag, task
from spavl.airflow.wiring import DEFAULT_ARGS, stage_group
from spavl.pipeline import BY_NAME

@dag(dag_id="refresh_preferences", default_args={**DEFAULT_ARGS, "retries": 0})
def release_only():
    group = stage_group(BY_NAME["release"])
    planned = task(task_id="plan")(lambda: "%s")()
    chain(planned, group)
    planned >> group.children["release.seal"]

release_only()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("required", "decision", "approve", "seal"),
    [
        (True, "rejected", "failed", "upstream_failed"),
        (False, None, "skipped", "failed"),
    ],
)
def test_a_rejection_is_a_failed_run_and_an_approval_that_is_not_asked_for_lets_the_release_begin(
    tmp_path, spavl_home, required, decision, approve, seal
):
    """The run has no checkpoint, so a release that begins fails: that it began is what is looked at."""
    store = open_store()
    write_run(store, required=required)
    if decision:
        words = {"by": "mira", "reason": "seen forty answers", "decided_at": "2026-11-24T09:00:00+00:00"}
        decide(store, RUN, is_approved=decision == "approved", **words)
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "release_only.py").write_text(RELEASE_ONLY % RUN)
    ended, said = dag_test(tmp_path, folder, tmp_path / "none.yaml")
    states = {name.removeprefix("release."): state for name, state in ended["tasks"].items()}
    assert (states["approve"], states["seal"], ended["run"]) == (approve, seal, "failed"), said[-3000:]
    assert ("mira rejected the release: seen forty answers" in said) == (decision == "rejected")
