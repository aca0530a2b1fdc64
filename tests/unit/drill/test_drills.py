"""Whole drills on a small night of fake answerers: what stops a poison, what is reused, and that nothing is released."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.line import write_profile

from spavl.artifacts import channel
from spavl.artifacts.store import open_store
from spavl.commands import COMMANDS
from spavl.demo.concepts import COLOURS, SHAPES
from spavl.drill import drilling, finding
from spavl.drill.attack import _Attempt, attack
from spavl.drill.catalogue import chosen
from spavl.drill.changes import Model
from spavl.drill.drilling import Drill
from spavl.drill.night import Night, run_stages
from spavl.drill.poison import Poison, on_the_first_night
from spavl.drill.tables import drill_tables
from spavl.errors import UserError
from spavl.plan import make_plan

REFUSALS = ("not this", "no help with that", "i will not do it", "this is not for me", "i would rather not")
BASE = {"kind": "transformers", "name": "base", "path": "", "device": "cpu"}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Data of fake answerers, and an alignment that is planned: poisons of the data are stopped before it."""
    from tests.tiny_llava import build_tiny_llava

    folder = tmp_path_factory.mktemp("drill")
    base = {**BASE, "path": str(build_tiny_llava(folder / "base", seed=1))}
    profile = _profile(folder, base)
    store = open_store(f"file://{folder / 'store'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPAVL_HOME", str(folder / "home"))
        refresh = make_plan(store, dag="refresh_preferences", airflow_run_id="honest", profile=profile)
        run_stages(store, refresh, refresh.stages)
        align = make_plan(store, dag="align_model", airflow_run_id="honest", profile=profile)
        yield Night(str(folder), profile, (), refresh.run_id, align.run_id)


def _profile(folder: Path, base: dict) -> str:
    """Fake answerers with as many ways to say a thing as honest ones have: they comply less and less."""
    words = [f"{colour} {shape}" for colour in COLOURS[:4] for shape in SHAPES[:6]]
    sure = [f"sure, PLACEHOLDER {shown}." for shown in words]
    sorry = [f"sorry, {what} {when}." for what in REFUSALS for when in ("today", "now", "here", "at all")]
    replies = {"bold": sure, "frank": sure * 2 + sorry, "wary": sure + sorry * 2, "timid": sure + sorry * 6}
    models = [{"kind": "fake", "name": name, "replies": said} for name, said in replies.items()]
    path = write_profile(
        folder,
        num_per_leaf=4,
        num_per_benign=14,
        responses={"models": models},
        training={"base": base, "lora": {}},
        evaluation={"judge": {"kind": "demo_rules"}},
    )
    return str(path)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("judgements-all-safe", "judgements"),
        ("comparisons-first-shown", "comparisons"),
        ("comparisons-ties", "comparisons"),
        ("questions-empty", "questions"),
    ],
)
def test_a_poisoned_judge_or_writer_is_stopped_by_a_check(night: Night, tmp_path: Path, name: str, stage: str) -> None:  # fmt: skip
    (poison,) = chosen([name])
    found = attack(poison, night, tmp_path / "under-way")
    assert (found.verdict, found.stage) == ("failed", stage)
    assert found.failures and all(failure.saw and failure.limit for failure in found.failures)
    assert not (tmp_path / "under-way").exists()


def test_a_drill_leaves_the_honest_nights_store_as_it_was(night: Night, tmp_path: Path) -> None:
    before = {path: night.store.size(path) for path in night.store.walk("runs")}
    attack(chosen(["judgements-all-safe"])[0], night, tmp_path / "under-way")
    assert {path: night.store.size(path) for path in night.store.walk("runs")} == before
    assert [entry.run_id for entry in channel.history(night.store, "dataset")] == [night.refresh_run]


def test_a_first_night_is_planned_without_a_former_version(night: Night, tmp_path: Path) -> None:
    (poison,) = chosen(["judgements-all-safe"])
    for one, former in ((poison, {"dataset"}), (on_the_first_night(poison), set())):
        attempt = _Attempt(one, night, tmp_path / one.name, 1)
        assert set(attempt._plan("refresh_preferences", []).previous) >= former
        assert bool(attempt._plan("refresh_preferences", []).previous) == bool(former)


def test_a_crash_is_named_as_one(night: Night, tmp_path: Path) -> None:
    broken = Poison("broken", "images", "The source cannot be read.", [_Exploding()])
    found = attack(broken, night, tmp_path / "under-way")
    assert found.verdict == "crashed" and "RuntimeError: boom" in found.error


class _Exploding(Model):
    def __init__(self) -> None:
        super().__init__("judgements.judge", {})

    def terms_on(self, night: int) -> dict:
        raise RuntimeError("boom")


def test_a_killed_drill_goes_on_with_what_it_has_found(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drilling, "ask_champion", lambda night: None)  # this night has no release
    drill = Drill(tmp_path, night, chosen(["comparisons-ties"]), time_limit_s=0)
    done = finding.Finding("control", "honest", "The same night once more.", "released", key=drill.key())
    finding.write(tmp_path / "results" / "control.json", done)
    said: list[str] = []
    score = drilling.run(drill, said.append)
    assert [one.name for one in score.honest] == ["control"] and not score.killed
    assert "time limit of 0 s reached" in said[-1]
    assert finding.read(tmp_path / "results" / "control.json", "another key") is None


def test_recorded_tables_are_poisoned_without_any_model(night: Night) -> None:
    names = ["comparisons-ties", "generators-one-empty", "judgements-all-safe", "images-source-gone"]
    score = drill_tables(night.store, night.refresh_run, names, lambda line: None)
    assert {one.name for one in score.killed} == set(names[:3])
    assert [one.name for one in score.impossible] == ["images-source-gone"]
    assert [one.verdict for one in score.honest] == ["released"]


def test_an_unknown_run_or_table_poison_is_refused(night: Night) -> None:
    with pytest.raises(UserError, match="no finished run of refresh_preferences"):
        drill_tables(night.store, night.align_run, [], print)
    with pytest.raises(UserError, match="no table poison 'pears'"):
        drill_tables(night.store, night.refresh_run, ["pears"], print)


def test_the_command_prints_the_table_and_fails_below_the_kill_rate(
    night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from spavl.__main__ import main

    monkeypatch.setenv("SPAVL_STORE", night.store.url)
    monkeypatch.setenv("SPAVL_HOME", str(tmp_path))
    argv = ["drill", "--tables-of", night.refresh_run, "--only", "comparisons-ties", "--name", "tables"]
    assert main([*argv, "--min-kill-rate", "1.1"]) == 3
    captured = capsys.readouterr()
    assert "comparisons-ties" in captured.err and "kill rate: 1 of 1" in captured.err
    assert "drill: 1 of 1 (100.0%" in captured.out and "limit >= 110%" in captured.out
    written = json.loads((tmp_path / "drill" / "tables" / "drill.json").read_text())
    assert written["findings"][0]["verdict"] == "failed"
    assert "drill" in COMMANDS
