"""The command `approve`: a person's decision about a release, as Airflow's form takes it."""

from __future__ import annotations

import argparse
import datetime
import getpass

from spavl.artifacts.approval import decide
from spavl.artifacts.store import open_store
from spavl.commands.history import refresh_after
from spavl.errors import UserError
from spavl.outcome import Outcome
from spavl.plan import read_plan


def approve(arguments: argparse.Namespace) -> Outcome:
    """Keep the decision. The name is taken as it is given: whoever can write the store can decide."""
    store = open_store()
    plan = read_plan(store, arguments.run_id)
    if plan.dag != "align_model":
        raise UserError(
            f"run {plan.run_id} is a {plan.dag} run, which releases no model.",
            next_step="`spavl status` lists the runs.",
        )
    made = decide(
        store,
        plan.run_id,
        is_approved=arguments.approve,
        by=arguments.by or _user_name(),
        reason=arguments.reason,
        decided_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        approvers=plan.resolved.release.approval.approvers,
    )
    refresh_after(store, "the decision")
    following = f"`spavl seal release --run-id {plan.run_id}` publishes it." if arguments.approve else ""
    return Outcome("approve", made.decision, plan.run_id, next_step=following)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return ""
