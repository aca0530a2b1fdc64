"""A decision is made once, by somebody who may, about figures that were there."""

import dataclasses

import pytest
from tests.approvals import RUN, write_run

from spavl.artifacts.approval import approval_path, decide, read_approval, require_approval
from spavl.artifacts.record import read_record
from spavl.artifacts.store import open_store
from spavl.errors import CheckFailed, UserError

WHEN = "2026-11-24T09:00:00+00:00"
WORDS = {"by": "mira", "reason": "looked at forty answers", "decided_at": WHEN}


@pytest.fixture
def store(tmp_path):
    made = open_store(f"file://{tmp_path}/store")
    write_run(made, required=True)
    return made


def evaluation_of(store):
    return read_record(store, RUN, "evaluation")


def test_a_release_waits_until_somebody_has_decided(store):
    with pytest.raises(UserError, match=r"waits for a person.*spavl approve") as waiting:
        require_approval(store, evaluation_of(store), required=True)
    assert f"--run-id {RUN}" in str(waiting.value)
    made = decide(store, RUN, is_approved=True, **WORDS)
    assert require_approval(store, evaluation_of(store), required=True) == made
    assert (made.by, made.decision) == ("mira", "approved")


def test_a_profile_that_asks_for_no_approval_waits_for_nobody(store):
    assert require_approval(store, evaluation_of(store), required=False) is None


@pytest.mark.parametrize("required", [True, False])
def test_a_rejection_stops_the_release_and_names_who_and_why(store, required):
    decide(store, RUN, is_approved=False, **WORDS)
    with pytest.raises(CheckFailed, match="mira rejected it on 2026-11-24: looked at forty answers"):
        require_approval(store, evaluation_of(store), required=required)


def test_an_approval_of_other_figures_is_none(store):
    decide(store, RUN, is_approved=True, **WORDS)
    other = dataclasses.replace(evaluation_of(store), fingerprint="another evaluation")
    with pytest.raises(UserError, match="nobody has decided"):
        require_approval(store, other, required=True)


def test_the_same_decision_again_is_the_first_one(store):
    first = decide(store, RUN, is_approved=True, **WORDS)
    content = store.read(approval_path(RUN))
    again = decide(store, RUN, is_approved=True, by="jo", reason="me too", decided_at="2026-11-25")
    assert again == first
    assert store.read(approval_path(RUN)) == content


def test_another_decision_is_refused_and_the_first_one_stays(store):
    decide(store, RUN, is_approved=False, **WORDS)
    with pytest.raises(UserError, match="decided already: mira rejected it"):
        decide(store, RUN, is_approved=True, by="jo", reason="I see it otherwise", decided_at=WHEN)
    assert read_approval(store, RUN).decision == "rejected"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"by": " "}, "needs the name"),
        ({"by": "sam", "approvers": ("mira", "jo")}, "'sam' may not decide"),
        ({"reason": " ok "}, "at least 3 characters"),
    ],
)
def test_a_decision_without_a_name_a_right_or_a_reason_is_refused(store, changed, words):
    with pytest.raises(UserError, match=words):
        decide(store, RUN, is_approved=True, **{**WORDS, **changed})
    assert read_approval(store, RUN) is None


def test_a_run_whose_gate_has_not_passed_has_nothing_to_decide(tmp_path):
    store = open_store(f"file://{tmp_path}/early")
    write_run(store, stages=("training",), required=True)
    with pytest.raises(UserError, match="has not passed, so there is nothing to decide"):
        decide(store, RUN, is_approved=True, **WORDS)


def test_a_released_run_is_not_decided_afterwards(tmp_path):
    store = open_store(f"file://{tmp_path}/late")
    write_run(store, stages=("training", "evaluation", "release"))
    with pytest.raises(UserError, match="is released already"):
        decide(store, RUN, is_approved=False, **WORDS)


def test_a_damaged_decision_is_no_missing_one(store):
    store.write(approval_path(RUN), b"{")
    with pytest.raises(UserError, match=r"approval\.json is damaged"):
        read_approval(store, RUN)
