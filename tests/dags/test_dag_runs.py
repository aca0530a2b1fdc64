"""A whole DAG run in one process: a failed stage is a failed run, and the report is written nevertheless."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(sys.argv[1]).dags["refresh_preferences"]
run = dag.test(run_conf={"profile": sys.argv[2]})
states = {task.task_id: str(task.state) for task in run.get_task_instances()}
print("ended:" + json.dumps({"run": str(run.state), "tasks": states}))
"""
PROFILE = """
images:
  sources:
    - {name: empty, url: "%s", licence: CC0-1.0, default_class: benign}
"""


@pytest.mark.slow
def test_a_failed_stage_fails_the_run_and_the_report_is_still_written(tmp_path, dags_folder, spavl_home):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    profile = tmp_path / "empty.yaml"
    profile.write_text(PROFILE % pictures)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}",
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True, timeout=200)
    command = [sys.executable, "-c", PROGRAM, str(dags_folder), str(profile)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    ended = json.loads(ran.stdout.split("ended:")[1].splitlines()[0])
    assert ended["run"] == "failed"
    images = {name: state for name, state in ended["tasks"].items() if name.startswith("images.")}
    assert "failed" in images.values()
    assert "up_for_retry" not in images.values()
    assert ended["tasks"]["plan"] == "success"
    assert ended["tasks"]["dataset.seal"] == "upstream_failed"
    assert ended["tasks"]["report"] == "success"
    assert len(list((spavl_home / "store" / "runs").glob("*/report.html"))) == 1
