"""Turns rows of the map into task groups: `prepare` → `work`, mapped over groups → `seal`, between `plan` and `report`.

`report` is a teardown: it is written whatever happened since the plan, and never decides the run's state, so a failed stage
is a failed run. `plan` is not its setup, because clearing a task would then clear the plan too, and the cleared task would
not wait for it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, Param, TaskGroup, TriggerRule, chain, task

from spavl.airflow import tasks
from spavl.airflow.approval import ApproveOperator
from spavl.airflow.steps import StepOperator
from spavl.pipeline import BY_NAME, DAGS, StageInfo

PREFERENCE_DATASET = Asset("preference_dataset", uri="spavl://channels/dataset")
ALIGNED_CHECKPOINT = Asset("aligned_checkpoint", uri="spavl://channels/release")
APPROVED = "release"  # the stage that a person may have to approve
ANNOUNCES = {"dataset": PREFERENCE_DATASET, "release": ALIGNED_CHECKPOINT}

# A try that follows goes on where the former one was, so it costs little; exit codes 2 and 3 are never tried again.
DEFAULT_ARGS = {
    "owner": "spavl",
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
}

# Pulled by template: an argument would draw an edge from `plan` to every task.
SPAVL_RUN = "{{ ti.xcom_pull(task_ids='plan') or '' }}"
PREPARE = (
    "Write the stage's work list; returns the groups that have something to do. Skipped, with the reason, where the run's "
    "method does not need the stage."
)
WORK = "Run all shards of one group; what is finished already costs nothing."
APPROVE = (
    "Ask a person whether this model may be released, if the run's profile says so (`release.approval`). A rejection fails the "
    "run; nobody's slot is held while it waits."
)
SEAL = "Check and record the stage; returns the run id."
NAME = r"^[a-z0-9][a-z0-9._-]{0,39}$"

PROFILE = Param(
    None,
    type=["null", "string"],
    minLength=1,
    title="Profile",
    description="Shipped profile's name or path of a YAML file; empty takes the installation's (SPAVL_PROFILE).",
)
OVERRIDES = Param(
    [],
    type="array",
    items={"type": "string", "pattern": r"^[a-z0-9_]+(\.[a-z0-9_]+)+=.*$"},
    title="Overrides",
    description="One section.key=value per line; they win over the profile and over the fields above.",
)


def stage_tasks(dag_id: str) -> None:
    """All tasks of one DAG of the map, to be called inside its definition."""
    planned = task(task_id="plan", doc_md=tasks.plan.__doc__)(tasks.plan)()
    groups: dict[str, TaskGroup] = {}
    for name in DAGS[dag_id]:
        former = waits_for(name, DAGS[dag_id])
        may_follow_a_skip = any(BY_NAME[other].only_for for other in former)
        groups[name] = stage_group(BY_NAME[name], may_follow_a_skip=may_follow_a_skip)
        for other in former:
            groups[other] >> groups[name]
            if name == APPROVED:
                # an approval that is not asked for is skipped: the gates are then the successes that let the release begin
                groups[other] >> groups[name].children[f"{APPROVED}.seal"]
        if may_follow_a_skip or not former:
            # if the former is left out, the plan is the one success that lets this stage begin
            planned >> groups[name]
    reported = task(task_id="report", doc_md=tasks.report.__doc__)(tasks.report)(spavl_run=SPAVL_RUN)
    reported = reported.as_teardown()
    last = DAGS[dag_id][-1]
    beside = waits_for(last, DAGS[dag_id])
    for name in [last, *beside] if len(beside) > 1 else [last]:
        (
            groups[name] >> reported
        )  # where one of two fails, the last stage is given up while the other still runs


def waits_for(name: str, stages: tuple[str, ...]) -> list[str]:
    """The stages of this DAG that a stage reads, without those that another of them reads anyway."""
    reads = [other for other in BY_NAME[name].reads if other in stages]
    return [other for other in reads if not any(other in _upstream(third, stages) for third in reads)]


def _upstream(name: str, stages: tuple[str, ...]) -> set[str]:
    """All that a stage rests on, in this DAG."""
    reads = {other for other in BY_NAME[name].reads if other in stages}
    return reads.union(*(_upstream(other, stages) for other in reads))


def stage_group(stage: StageInfo, *, may_follow_a_skip: bool = False) -> TaskGroup:
    """One stage: three tasks where it is sharded, `seal` alone where it is not."""
    first_rule = TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS if may_follow_a_skip else TriggerRule.ALL_SUCCESS
    with TaskGroup(stage.name, tooltip=stage.summary) as group:
        sealed = _seal(stage)
        if stage.name == APPROVED:
            asked = ApproveOperator(task_id="approve", spavl_run=SPAVL_RUN, doc_md=APPROVE)
            asked >> sealed
        if stage.is_sharded:
            prepared = StepOperator(
                task_id="prepare",
                stage=stage.name,
                step="prepare",
                spavl_run=SPAVL_RUN,
                doc_md=PREPARE,
                trigger_rule=first_rule,
            )
            worked = _work(stage, prepared)
            chain(prepared, worked, sealed)
            chain(prepared, sealed)
    return group


def _work(stage: StageInfo, prepared: StepOperator) -> Any:
    partial = StepOperator.partial(
        task_id="work",
        stage=stage.name,
        step="work",
        spavl_run=SPAVL_RUN,
        doc_md=WORK,
        map_index_template="{{ task.group['group'] }}",
    )
    return partial.expand(group=prepared.output)


def _seal(stage: StageInfo) -> StepOperator:
    # Nothing left to do maps `work` over no group and skips it: `prepare` is then the one success that lets `seal` run.
    may_follow_a_skip = stage.is_sharded or stage.name == APPROVED
    rule = TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS if may_follow_a_skip else TriggerRule.ALL_SUCCESS
    outlets = [ANNOUNCES[stage.name]] if stage.name in ANNOUNCES else []
    return StepOperator(
        task_id="seal",
        stage=stage.name,
        step="seal",
        spavl_run=SPAVL_RUN,
        doc_md=SEAL,
        trigger_rule=rule,
        outlets=outlets,
    )
