"""`spavl approve` and `spavl history`, as a user calls them."""

import json

import pytest
from tests.approvals import RUN, write_run
from tests.unit.report import made_runs

from spavl.__main__ import main
from spavl.artifacts.approval import read_approval
from spavl.artifacts.store import open_store
from spavl.outcome import parse

APPROVE = ("approve", "--run-id", RUN, "--reason", "seen forty answers")


@pytest.fixture
def store(spavl_home):
    made = open_store()
    write_run(made, required=True, approvers=["mira", "jo"])
    return made


def call(capsys, *argv, expect=0):
    assert main(list(argv)) == expect
    captured = capsys.readouterr()
    return parse(captured.out.strip().splitlines()[-1])


def test_approving_keeps_the_decision_and_says_what_comes_next(capsys, store):
    outcome = call(capsys, *APPROVE, "--approve", "--by", "mira")
    assert f"spavl seal release --run-id {RUN}" in outcome.next_step
    kept = read_approval(store, RUN)
    assert (kept.decision, kept.by, kept.reason) == ("approved", "mira", "seen forty answers")


def test_the_name_is_the_machines_user_if_none_is_given(capsys, store, monkeypatch):
    monkeypatch.setenv("LOGNAME", "jo")
    call(capsys, *APPROVE, "--reject")
    assert (read_approval(store, RUN).decision, read_approval(store, RUN).by) == ("rejected", "jo")


def test_whoever_is_not_an_approver_gets_one_line_and_decides_nothing(capsys, store):
    outcome = call(capsys, *APPROVE, "--approve", "--by", "sam", expect=2)
    assert outcome.error == "'sam' may not decide about releases."
    assert outcome.next_step == "release.approval.approvers names mira, jo."
    assert read_approval(store, RUN) is None


def test_a_run_that_releases_no_model_has_nothing_to_approve(capsys, store):
    plan = json.loads(store.read(f"runs/{RUN}/plan.json")) | {"dag": "refresh_preferences"}
    store.write(f"runs/{made_runs.DATA_RUN}/plan.json", json.dumps(plan | {"run_id": made_runs.DATA_RUN}).encode())  # fmt: skip
    argv = ("approve", "--run-id", made_runs.DATA_RUN, "--approve", "--reason", "why not")
    assert "releases no model" in call(capsys, *argv, expect=2).error


def test_a_decision_is_on_the_page_over_all_nights_at_once(capsys, store):
    call(capsys, *APPROVE, "--reject", "--by", "mira")
    html = store.read("history.html").decode()
    assert "mira rejected the release: seen forty answers" in html


def test_history_writes_the_page_and_says_where(capsys, store):
    outcome = call(capsys, "history", "--nights", "3")
    assert outcome.links["history"] == store.url_of("history.html")
    assert "Safety history" in store.read("history.html").decode()
    assert "shows nothing" in call(capsys, "history", "--nights", "0", expect=2).error


def test_the_report_of_a_run_makes_the_page_over_all_nights_anew(capsys, store):
    outcome = call(capsys, "report", "--run-id", RUN)
    assert set(outcome.links) == {"report", "history"}
    assert RUN in store.read("history.html").decode()
