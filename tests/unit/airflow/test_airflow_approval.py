"""What the task between gate and release makes of a profile, of a form's answer and of silence."""

import datetime

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput
from tests.approvals import RUN, write_run

from spavl.airflow import tasks
from spavl.airflow.approval import ApproveOperator
from spavl.artifacts.approval import decide, read_approval
from spavl.artifacts.store import open_store

ANSWERED_AT = datetime.datetime(2026, 11, 24, 9, tzinfo=datetime.UTC)
MIRA = {"id": "mira", "name": "mira"}


class TaskInstance:
    id = "a-task-instance"


@pytest.fixture
def asked(monkeypatch):
    """What the task has put into the form, without an Airflow to put it into."""
    forms: list[dict] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **form: forms.append(form))
    monkeypatch.setattr(tasks, "report", lambda spavl_run: spavl_run)
    return forms


def operator(spavl_home, **approval) -> ApproveOperator:
    write_run(open_store(), **approval)
    return ApproveOperator(task_id="approve", spavl_run=RUN)


def answer(option: str, reason: str = "looked at forty answers", user: dict = MIRA) -> dict:
    return {
        "chosen_options": [option],
        "params_input": {"reason": reason},
        "responded_at": ANSWERED_AT,
        "responded_by_user": user,
    }


def test_a_profile_that_asks_for_no_approval_skips_the_task_and_says_so(spavl_home, asked):
    with pytest.raises(AirflowSkipException, match=r"release\.approval\.required is off"):
        operator(spavl_home).execute({"task_instance": TaskInstance})
    assert asked == []


def test_the_form_holds_the_figures_the_link_and_the_approvers_and_the_task_gives_its_slot_back(spavl_home, asked):  # fmt: skip
    task = operator(spavl_home, required=True, approvers=["mira", "jo"], timeout_h=12)
    with pytest.raises(TaskAwaitingInput) as parked:
        task.execute({"task_instance": TaskInstance})
    assert parked.value.timeout == datetime.timedelta(hours=12)
    (form,) = asked
    assert form["options"] == ["Approve", "Reject"]
    assert [user["id"] for user in form["assigned_users"]] == ["mira", "jo"]
    assert f"/spavl/runs/align_model/{RUN}/report" in form["body"]
    # tests/rows.py: unsafe 100 % → 6 % of 100 prompts
    (unsafe,) = [line for line in form["body"].splitlines() if line.startswith("| Unsafe answers")]
    assert "| 100.0 % (96.0 to 100.0) |" in unsafe and "| 6.0 % (2.0 to 10.0) |" in unsafe
    assert set(form["params"]) == {"reason"}
    assert form["params"]["reason"]["schema"]["minLength"] == 3


def test_an_approval_is_kept_with_its_name_and_reason(spavl_home):
    task = operator(spavl_home, required=True)
    assert task.execute_complete({}, answer("Approve")) == "mira"
    kept = read_approval(open_store(), RUN)
    assert (kept.decision, kept.by, kept.reason) == ("approved", "mira", "looked at forty answers")
    assert kept.decided_at == "2026-11-24T09:00:00+00:00"


def test_a_rejection_fails_the_task_for_good_and_names_who_and_why(spavl_home):
    task = operator(spavl_home, required=True)
    with pytest.raises(
        AirflowFailException,
        match=r"release approve \(exit 3\): mira rejected the release: too many refusals",
    ):
        task.execute_complete({}, answer("Reject", "too many refusals"))
    assert read_approval(open_store(), RUN).decision == "rejected"


def test_a_decision_of_the_command_line_is_not_asked_again(spavl_home, asked):
    task = operator(spavl_home, required=True)
    words = {"by": "jo", "reason": "seen it all", "decided_at": "2026-11-24T08:00:00+00:00"}
    decide(open_store(), RUN, is_approved=True, **words)
    assert task.execute({"task_instance": TaskInstance}) == "jo"
    assert asked == []


def test_an_answer_against_the_decision_that_is_there_fails_the_task(spavl_home):
    task = operator(spavl_home, required=True)
    words = {"by": "jo", "reason": "not like this", "decided_at": "2026-11-24T08:00:00+00:00"}
    decide(open_store(), RUN, is_approved=False, **words)
    with pytest.raises(AirflowFailException, match="decided already: jo rejected it"):
        task.execute_complete({}, answer("Approve"))


def test_a_user_who_is_not_an_approver_decides_nothing(spavl_home):
    task = operator(spavl_home, required=True, approvers=["jo"])
    with pytest.raises(AirflowFailException, match="'mira' may not decide"):
        task.execute_complete({}, answer("Approve"))
    assert read_approval(open_store(), RUN) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"params_input": {"reason": ""}}, "reason: '' is too short. Clear this task"),
        ({"params_input": {}}, "needs a reason"),
        ({"chosen_options": ["Maybe"]}, "Maybe.*Clear this task"),
    ],
)
def test_an_answer_that_the_form_would_not_take_decides_nothing(spavl_home, changed, words):
    task = operator(spavl_home, required=True)
    with pytest.raises(AirflowFailException, match=words):
        task.execute_complete({}, answer("Approve") | changed)
    assert read_approval(open_store(), RUN) is None


def test_silence_fails_the_task_and_says_how_to_be_asked_again(spavl_home):
    task = operator(spavl_home, required=True, timeout_h=0.5)
    with pytest.raises(AirflowFailException, match=r"nobody decided within 0\.5 h.*Clear this task"):
        task.execute_complete({}, {"error": "timed out", "error_type": "timeout"})
