"""The DAG files import, cost nothing to parse, and have the edges of pipeline.py."""

import subprocess
import sys
from itertools import pairwise

import pytest

from spavl.pipeline import BY_NAME, DAGS

SHARDED = [(dag_id, name) for dag_id, names in DAGS.items() for name in names if BY_NAME[name].is_sharded]
HEAVY = (
    "torch",
    "transformers",
    "trl",
    "great_expectations",
    "kubernetes",
    "pandas",
    "pyarrow",
    "numpy",
    "PIL",
    "openai",
    "matplotlib",
)


def stage_of(task_id: str) -> str:
    return task_id.split(".")[0]


def edges_between_stages(dag) -> set[tuple[str, str]]:
    pairs = {
        (stage_of(task.task_id), stage_of(below)) for task in dag.tasks for below in task.downstream_task_ids
    }
    return {
        (above, below) for above, below in pairs if above != below and above in BY_NAME and below in BY_NAME
    }


def needed_edges(names: tuple[str, ...]) -> set[tuple[str, str]]:
    """`reads` without the edges that follow from others."""
    above = {name: {read for read in BY_NAME[name].reads if read in names} for name in names}
    for name in names:  # in pipeline order, so what is read is complete
        above[name] |= {further for read in above[name] for further in above[read]}
    return {
        (read, name)
        for name in names
        for read in BY_NAME[name].reads
        if read in names and not any(read in above[other] for other in above[name])
    }


def test_every_dag_file_imports_without_an_error(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == {*DAGS, "rollback_release"}


@pytest.mark.parametrize("dag_id", DAGS)
def test_edges_between_stages_are_what_the_map_says_they_read(bag, dag_id):
    assert edges_between_stages(bag.dags[dag_id]) == needed_edges(DAGS[dag_id])


@pytest.mark.parametrize("dag_id", DAGS)
def test_stages_of_a_dag_are_those_of_the_map(bag, dag_id):
    stages = {stage_of(task_id) for task_id in bag.dags[dag_id].task_ids} - {"plan", "report"}
    assert stages == set(DAGS[dag_id])


@pytest.mark.parametrize(("dag_id", "stage"), SHARDED)
def test_a_sharded_stage_is_prepare_then_mapped_work_then_seal(bag, dag_id, stage):
    tasks = bag.dags[dag_id].task_dict
    assert tasks[f"{stage}.prepare"].downstream_task_ids == {f"{stage}.work", f"{stage}.seal"}
    assert tasks[f"{stage}.work"].downstream_task_ids == {f"{stage}.seal"}
    assert tasks[f"{stage}.work"].is_mapped


@pytest.mark.parametrize(("dag_id", "stage"), SHARDED)
def test_seal_runs_where_no_group_has_work_but_not_where_prepare_was_skipped(bag, dag_id, stage):
    assert bag.dags[dag_id].task_dict[f"{stage}.seal"].trigger_rule == "none_failed_min_one_success"


@pytest.mark.parametrize("stage", ["preferences", "dataset"])
def test_a_stage_without_shards_is_one_task(bag, stage):
    assert [name for name in bag.dags["refresh_preferences"].task_ids if stage_of(name) == stage] == [
        f"{stage}.seal"
    ]


@pytest.mark.parametrize("dag_id", DAGS)
def test_the_plan_comes_first_and_the_report_comes_last_without_deciding_the_state(bag, dag_id):
    dag = bag.dags[dag_id]
    last = DAGS[dag_id][-1]
    assert [task.task_id for task in dag.roots] == ["plan"]
    after_what_may_be_left_out = {b for a, b in pairwise(DAGS[dag_id]) if BY_NAME[a].only_for}
    begins = {DAGS[dag_id][0], *after_what_may_be_left_out}
    assert dag.task_dict["plan"].downstream_task_ids == {f"{stage}.prepare" for stage in begins}
    report = dag.task_dict["report"]
    assert report.is_teardown
    assert not report.on_failure_fail_dagrun
    beside = {"evaluation.seal", "benchmarks.seal"} if dag_id == "align_model" else set()
    assert report.upstream_task_ids == {f"{last}.seal", *beside}


def test_evaluation_and_benchmarks_may_run_at_the_same_time(bag):
    edges = edges_between_stages(bag.dags["align_model"])
    assert {above for above, below in edges if below == "release"} == {"evaluation", "benchmarks"}
    assert {below for above, below in edges if above == "training"} == {"evaluation", "benchmarks"}


def test_training_begins_where_the_reward_model_is_left_out_but_not_where_the_plan_was_skipped(bag):
    training = bag.dags["align_model"].task_dict["training.prepare"]
    assert training.trigger_rule == "none_failed_min_one_success"
    assert training.upstream_task_ids == {"plan", "reward.seal"}


@pytest.mark.parametrize("dag_id", DAGS)
def test_clearing_a_task_does_not_clear_the_plan(bag, dag_id):
    last = f"{DAGS[dag_id][-1]}.seal"
    cleared = bag.dags[dag_id].task_dict[last].get_upstreams_only_setups_and_teardowns()
    assert "plan" not in {task.task_id for task in cleared}


def test_a_person_is_asked_between_the_gate_and_the_release(bag):
    tasks = bag.dags["align_model"].task_dict
    assert "evaluation.seal" in tasks["release.approve"].upstream_task_ids
    assert "release.approve" in tasks["release.seal"].upstream_task_ids
    assert tasks["release.approve"].trigger_rule == "all_success"


def test_an_approval_that_is_not_asked_for_lets_the_release_begin_and_a_skipped_gate_does_not(bag):
    seal = bag.dags["align_model"].task_dict["release.seal"]
    assert seal.trigger_rule == "none_failed_min_one_success"
    assert seal.upstream_task_ids >= {"evaluation.seal", "release.approve"}


def test_only_dataset_and_release_announce_an_asset(bag):
    announced = {
        (task.task_id, asset.name)
        for dag in bag.dags.values()
        for task in dag.tasks
        for asset in task.outlets
    }
    assert announced == {("dataset.seal", "preference_dataset"), ("release.seal", "aligned_checkpoint")}


def test_align_model_is_woken_by_the_asset_that_the_dataset_announces(bag):
    (outlet,) = bag.dags["refresh_preferences"].task_dict["dataset.seal"].outlets
    assert [asset.name for asset in bag.dags["align_model"].schedule] == [outlet.name]


def test_refresh_is_nightly_one_at_a_time_and_never_catches_up(bag):
    dag = bag.dags["refresh_preferences"]
    assert (dag.schedule, dag.catchup, dag.max_active_runs) == ("@daily", False, 1)


def test_rollback_is_by_hand_only(bag):
    assert bag.dags["rollback_release"].schedule is None


@pytest.mark.parametrize("dag_id", [*DAGS, "rollback_release"])
def test_every_dag_says_in_the_ui_what_it_does_and_retries_three_times(bag, dag_id):
    dag = bag.dags[dag_id]
    assert len(dag.doc_md) > 200
    assert {task.retries for task in dag.tasks} == {3}


def test_parsing_costs_nothing_beyond_the_sdk(dags_folder):
    program = f"""
import runpy, sys
from airflow.sdk import Asset, Param, TaskGroup, TriggerRule, chain, dag, task
@dag(schedule=[Asset("a")], params={{"p": Param(1, type="integer", minimum=0)}})
def empty():
    @task
    def one(): return [1]
    @task
    def two(x): pass
    with TaskGroup("g"):
        two.partial().expand(x=one())
empty()
dag(dag_id="nightly", schedule="@daily")(lambda: None)()
import airflow.sdk.exceptions
import airflow.providers.standard.operators.hitl  # Airflow's own form, beside a process that has the SDK: 33 ms
before = set(sys.modules)
for name in ("refresh_preferences", "align_model", "rollback_release"):
    runpy.run_path({str(dags_folder)!r} + f"/{{name}}.py")
print("new:", *sorted(set(sys.modules) - before))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    new = ran.stdout.split("new:")[1].split()
    foreign = {name.split(".")[0] for name in new if not name.startswith(("spavl", "airflow"))}
    assert foreign <= sys.stdlib_module_names
    assert {name for name in new if name.startswith("spavl")} <= {
        "spavl", "spavl.pipeline", "spavl.airflow", "spavl.airflow.approval", "spavl.airflow.steps", "spavl.airflow.tasks",
        "spavl.airflow.wiring",
    }  # fmt: skip
    assert not set(HEAVY) & set(new)
