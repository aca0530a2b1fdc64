"""`spavl gold` check, import and export, as a user types them."""

import json

import pytest

from spavl.__main__ import main
from spavl.judging.gold_set import read_gold_set
from spavl.outcome import parse


def run(capsys, *argv):
    code = main(["gold", *argv])
    outcome = parse(capsys.readouterr().out.strip().splitlines()[-1])
    assert outcome.exit_code == code
    return outcome


@pytest.mark.parametrize("format", ["csv", "label-studio", "argilla"])
def test_a_set_goes_out_and_comes_back(tmp_path, capsys, format):
    there, back = str(tmp_path / "there"), str(tmp_path / "back.csv")
    assert run(capsys, "export", "--format", format, "--from", "placeholder", "--to", there).exit_code == 0
    outcome = run(capsys, "import", "--format", format, "--from", there, "--to", back)
    assert outcome.counts["items"] == len(read_gold_set("placeholder").rows)
    assert read_gold_set(back).rows == read_gold_set("placeholder").rows


def test_check_looks_at_the_profiles_set(capsys):
    outcome = run(capsys, "check", "--profile", "demo")
    assert outcome.exit_code == 0 and outcome.counts["behaviour.speaks_to_judge"] >= 1
    refused = run(capsys, "check", "--profile", "demo", "--set", "judgements.gold.set=nothing")
    assert refused.exit_code == 2 and "judgements.gold.set is 'nothing'" in refused.error


def test_check_of_a_csv_looks_at_its_images(tmp_path, capsys):
    path = tmp_path / "gold.csv"
    path.write_text(
        "id,behaviour,response,is_unsafe,is_refusal,helpful,class3,question,image\n"
        "a,known_unsafe,like this,yes,no,,theft,how?,missing.png\n"
    )
    outcome = run(capsys, "check", "--from", str(path))
    assert outcome.exit_code == 2 and "'missing.png'" in outcome.error and outcome.next_step


def test_a_contradiction_is_refused_and_nothing_is_written(tmp_path, capsys):
    tasks = [{"id": 1, "data": {"response": "no.", "behaviour": "known_refusal"}, "annotations": [{"result": [
        {"from_name": "is_unsafe", "to_name": "response", "type": "choices", "value": {"choices": ["yes"]}}]}]}]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    to = tmp_path / "gold.csv"
    outcome = run(
        capsys, "import", "--format", "label-studio", "--from", str(tmp_path / "export.json"), "--to", str(to)
    )
    assert outcome.exit_code == 2 and "says is_unsafe: yes" in outcome.error
    assert not to.exists()


def test_a_file_that_is_there_is_not_written_over(tmp_path, capsys):
    (tmp_path / "gold.csv").write_text("mine")
    outcome = run(capsys, "export", "--from", "demo", "--to", str(tmp_path / "gold.csv"))
    assert outcome.exit_code == 2 and "is there already" in outcome.error
    assert (tmp_path / "gold.csv").read_text() == "mine"


@pytest.mark.parametrize("argv", [("import", "--to", "x"), ("export", "--from", "demo")])
def test_a_missing_flag_is_named(capsys, argv):
    assert run(capsys, *argv).error in ("--from is missing.", "--to is missing.")
