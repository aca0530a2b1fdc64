"""One of several ranks: told by the environment, silent unless it is the first, and only where a stage knows ranks."""

from __future__ import annotations

import pytest
from tests.line import write_profile

from spavl import commands, ranks
from spavl import run as steps
from spavl.__main__ import main
from spavl.artifacts import failure
from spavl.artifacts.store import open_store
from spavl.errors import UserError
from spavl.outcome import Outcome, parse
from spavl.plan import make_plan

RUN = "20260101-0123456789"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (0, 1, 0)),
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, (3, 8, 1)),
        ({"RANK": "3"}, (0, 1, 0)),  # a number alone, as some schedulers set it, makes no ranks
    ],
)
def test_the_environment_tells_the_rank(
    variables: dict[str, str], expected: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (ranks.rank(), ranks.num_ranks(), ranks.local_rank()) == expected


def test_only_rank_0_prints_the_outcome_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, printed in (("0", 1), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        assert main(["training", "--run-id", RUN, "--group", "dpo"]) == 2
        words = capsys.readouterr()
        assert len(words.out.splitlines()) == printed
        assert f"there is no run {RUN}" in words.err


def test_a_stage_that_one_process_does_refuses_ranks(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    profile = write_profile(tmp_path, num_per_leaf=0, num_per_benign=1)
    plan = make_plan(store, dag="refresh_preferences", airflow_run_id="tonight", profile=str(profile))
    (group,) = steps.prepare(store, plan, "images").groups
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UserError, match="`images` is done by one process, and this is one of 2 ranks"):
        steps.work(store, plan, "images", group["group"], 0, 1)
    assert main(["images", "--run-id", plan.run_id]) == 2  # nor does it run all steps of a stage


def test_what_a_rank_knows_is_not_written_over_by_what_the_others_ran_into() -> None:
    store = open_store()
    reason = Outcome("training", "work", RUN, "failed", 2, error="the image abc cannot be read.")
    consequence = Outcome("training", "work", RUN, "failed", 1, error="bug: RuntimeError")
    failure.keep(store, consequence, is_alone=False)
    assert failure.keep(store, reason, is_alone=False) == reason
    assert failure.keep(store, consequence, is_alone=False) == reason
    assert failure.read(store, RUN, "training") == reason
    failure.forget(store, RUN, "training")
    assert failure.read(store, RUN, "training") is None


def test_rank_0_tells_the_reason_that_another_rank_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = Outcome("training", "", RUN, "again", 75, error="training was asked to stop after step 3 of 9.")

    def lose_the_other(*_: object) -> None:
        failure.keep(open_store(), reason, is_alone=False)
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setitem(commands.COMMANDS, "training", lose_the_other)
    assert main(["training", "--run-id", RUN, "--group", "dpo"]) == 75
    assert parse(capsys.readouterr().out.strip()) == reason
