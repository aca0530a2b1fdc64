"""The operator between gate and release: asks a person in Airflow's own form, and keeps the answer in the store.

The task is in every run, because a DAG's shape is fixed while its profile is not; a run whose profile asks for no approval
skips it visibly. While it waits it holds no slot. A rejection fails the run and names who and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    ParamValidationError,
)

from spavl.airflow import tasks

if TYPE_CHECKING:
    from spavl.artifacts.approval import Approval
    from spavl.plan import Plan

REASON = {
    "type": "string",
    "minLength": 3,
    "maxLength": 500,
    "title": "Reason",
    "description": "Why; the release entry keeps it with your name.",
}


class ApproveOperator(ApprovalOperator):
    """Approve or reject one release; returns who decided."""

    template_fields = ("subject", "body", "spavl_run")

    def __init__(self, *, spavl_run: str, **options: Any) -> None:
        # subject and body are those of the run's plan, which is not made yet
        super().__init__(subject="A model waits to be released", body="", **options)
        self.spavl_run = spavl_run

    def execute(self, context: Mapping[str, Any]) -> Any:
        plan = tasks.plan_of(self.spavl_run)
        section = plan.resolved.release.approval
        if not section.required:
            raise AirflowSkipException("release.approval.required is off in this run's profile.")
        if found := _decided(plan):
            return _settled(plan, found)
        tasks.report(plan.run_id)  # what the form links to; the run's last task writes it again
        self.params = _form()
        self.subject = f"Release {plan.run_id} to channel “{plan.resolved.release.channel}”?"
        self.body = _request(plan)
        self.assigned_users = [{"id": name, "name": name} for name in section.approvers] or None
        self.response_timeout = timedelta(hours=section.timeout_h)
        return super().execute(context)

    def execute_complete(self, context: Mapping[str, Any], event: dict[str, Any]) -> Any:
        """The answer, or that nobody gave one."""
        plan = tasks.plan_of(self.spavl_run)
        if "error" in event:
            raise _failed(plan, *_unanswered(plan, event))
        self.params = _form()
        try:
            # past ApprovalOperator's own: it would skip what follows a rejection, and a skipped release is no failure
            answer = super(ApprovalOperator, self).execute_complete(context, event)
        except (ParamValidationError, ValueError) as error:
            words = str(error).splitlines()[0]
            raise AirflowFailException(
                f"the answer decides nothing: {words}. Clear this task to ask again."
            ) from None
        user = answer["responded_by_user"] or {}
        _check_user(plan, user)
        decision = {
            "is_approved": answer["chosen_options"] == [self.APPROVE],
            "by": str(user.get("name") or user.get("id") or ""),
            "reason": str((answer["params_input"] or {}).get("reason") or ""),
            "decided_at": answer["responded_at"].isoformat(timespec="seconds"),
        }
        return _settled(plan, tasks.in_airflows_words(lambda: _decide(plan, decision)))


def _form() -> ParamsDict:
    """The field of the form. Not a param of the task: Airflow would check its empty default before anybody has written."""
    return ParamsDict({"reason": Param("", **REASON)})


def _decided(plan: Plan) -> Approval | None:
    from spavl.artifacts.approval import read_approval
    from spavl.artifacts.store import open_store

    return read_approval(open_store(), plan.run_id)


def _decide(plan: Plan, decision: Mapping[str, Any]) -> Approval:
    from spavl.artifacts.approval import decide
    from spavl.artifacts.store import open_store

    return decide(open_store(), plan.run_id, **decision)


def _settled(plan: Plan, found: Approval) -> str:
    """Who approved; a rejection fails the task for good."""
    if found.decision != "approved":
        raise _failed(plan, f"{found.by} rejected the release: {found.reason}.", "Nothing was published.")
    print(f"approved: {found.in_words}")
    return found.by


def _failed(plan: Plan, error: str, next_step: str) -> AirflowException:
    """A check that failed, in the words of every other step: never tried again."""
    from spavl.errors import EXIT_CHECK_FAILED
    from spavl.launch.ending import Subject

    return tasks.told(Subject("release", "approve", plan.run_id), error, next_step, EXIT_CHECK_FAILED)


def _check_user(plan: Plan, user: Mapping[str, Any]) -> None:
    approvers = plan.resolved.release.approval.approvers
    if approvers and not {user.get("id"), user.get("name")} & set(approvers):
        raise AirflowFailException(
            f"{user.get('name')!r} may not decide: release.approval.approvers names {', '.join(approvers)}. "
            "Clear this task to ask again."
        )


def _unanswered(plan: Plan, event: Mapping[str, Any]) -> tuple[str, str]:
    """What was wrong, and the next step."""
    ask_again = "Clear this task to ask again."
    if event.get("error_type") != "timeout":
        return f"the request failed: {event['error']}", ask_again
    hours = plan.resolved.release.approval.timeout_h
    error = f"nobody decided within {hours:g} h (release.approval.timeout_h), so nothing was published."
    return error, ask_again


def _request(plan: Plan) -> str:
    """What is asked, in Markdown, with a link to the report."""
    from spavl.airflow.plugin import page_address
    from spavl.artifacts.store import open_store
    from spavl.report.request import approval_request

    return approval_request(open_store(), plan.run_id, page_address(plan.dag, plan.run_id, "report"))
