"""Moves a release channel back to an earlier entry, by one new entry: by hand only."""

from airflow.sdk import Param, dag, task

from spavl.airflow import tasks
from spavl.airflow.wiring import DEFAULT_ARGS, NAME

DOC = """
### Point a channel back to an earlier release

Channels are append-only: a rollback is one **new entry** that names the earlier one, so history is never lost and a rollback can
itself be rolled back. `spavl releases --channel stable` lists the entries.
"""

PARAMS = {
    "channel": Param(
        "stable", type="string", pattern=NAME, title="Channel", description="The channel to move."
    ),
    "to": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Entry",
        description="Number of the entry to point to; empty takes the one before the head.",
    ),
    "reason": Param(
        type="string", minLength=3, maxLength=200, title="Reason", description="Why, for the log; required."
    ),
}


@dag(
    dag_id="rollback_release",
    description="One new channel entry that points to an earlier release.",
    doc_md=DOC,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["spavl", "model"],
)
def rollback_release():
    task(task_id="rollback")(tasks.rollback)()


rollback_release()
