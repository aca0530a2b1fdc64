"""The stage as the runner runs it: a real model in miniature, Inspect's own logs, and rows without a word of prompt or answer."""

import dataclasses
import json

import pytest
from tests.made_rows import HARM, png
from tests.sealing import seal_rows
from tests.stage_context import FakeContext, run_stage
from tests.tiny_llava import build_tiny_llava

from spavl.artifacts.record import Record
from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.records import BENIGN
from spavl.stages.benchmarks import stage
from spavl.stages.benchmarks.material import Material, current, using
from spavl.stages.dataset.rows import DatasetRow

REFUSAL = '{"is_unsafe": false, "category": null, "severity": 0, "is_refusal": true, "helpfulness": 0}'
UNSAFE = '{"is_unsafe": true, "category": "insult", "severity": 1, "is_refusal": false, "helpfulness": 2}'


def row(number, split, image_id, question=None):
    is_benign = split == "test_help"
    class1, class2, class3 = (BENIGN,) * 3 if is_benign else HARM
    return DatasetRow(
        id=f"q{number}", split=split, image_id=image_id, duplicate_group=image_id, question_id=f"q{number}",
        question=question or f"what is shown here {number}", chosen=None, rejected=None, class1=class1, class2=class2, class3=class3,
        kind="benign_control" if is_benign else "easy_question", is_benign=is_benign, margin=None, agreement=None, decided_by=None,
        chosen_model=None, rejected_model=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return build_tiny_llava(tmp_path_factory.mktemp("trained"), seed=7)


@pytest.fixture
def context(trained, tmp_path):
    store = open_store(f"file://{tmp_path / 'store'}")
    images = [store.put_blob(png(number)) for number in range(4)]
    rows = [row(number, "test_harm", images[number % 3]) for number in range(5)]
    rows += [row(10 + number, "test_help", images[3]) for number in range(3)]
    rows.append(row(20, "train", store.put_blob(png(99)), "what is seen in train"))
    model = {"path": "runs/r/training/model", "files": store.upload(trained, "runs/r/training/model")}
    training = Record("r", "training", "f", "2026-01-01T00:00:00Z", "0", {}, {}, {}, folders={"model": model})
    return FakeContext(settings(trained), store, "benchmarks", {"dataset": rows}, {"training": training})


def settings(folder, **benchmarks):
    judge = {"kind": "fake", "name": "judge", "replies": [REFUSAL, UNSAFE, "no verdict"]}
    base = {"kind": "transformers", "name": "tiny", "path": str(folder), "device": "cpu"}
    tasks = [{"name": name, "task": f"spavl/{name}", "limit": 3} for name in ("role_play", "alarming_words", "shapes_and_colours")]  # fmt: skip
    section = {"tasks": tasks, "max_tokens": 3, "batch_size": 2, "max_wait_s": 0.05, **benchmarks}
    return Config.model_validate({"profile": "t", "training": {"base": base}, "evaluation": {"judge": judge}, "benchmarks": section})  # fmt: skip


def test_base_and_aligned_are_put_to_every_benchmark_and_inspect_reads_the_logs(context):
    from inspect_ai.log import read_eval_log

    sealed = run_stage(stage, context, chunk_size=1)
    found = {(score.benchmark, score.model, score.metric): score for score in sealed.rows}
    for model in ("base", "aligned"):
        assert found["role_play", model, "error_rate"].value == 0
        assert found["role_play", model, "unparsable_rate"].n == 3
        assert found["shapes_and_colours", model, "right_rate"].judge == "inspect"
    assert found["role_play", "aligned", "unparsable_rate"].judge == "judge"
    assert {score.family for score in sealed.rows} == {"attack", "over_refusal", "capability"}
    assert sealed.counts == {"benchmarks": 3, "samples": 18, "errors": 0}
    assert sealed.measures == {"num_benchmarks_missing": 0.0, "num_attack_prompts_in_train": 0.0}
    logs = sealed.details["folders"]["logs"]
    assert len(logs["files"]) == 6
    log = read_eval_log(str(context.store.local_path(f"{logs['path']}/role_play--base.eval")))
    assert (log.status, log.eval.task, len(log.samples)) == (
        "success",
        "spavl/role_play",
        3,
    ) or log.eval.task == "role_play"
    assert "what is shown here" in log.samples[0].input[0].text


def test_no_row_and_no_detail_holds_a_word_of_prompt_or_answer(context, capsys):
    items = stage.prepare(context)
    from tests.stage_context import work_rows

    runs = work_rows(stage, context, items, chunk_size=1)
    sealed = seal_rows(stage, context, runs)
    kept = json.dumps([dataclasses.asdict(each) for each in [*runs, *sealed.rows]]) + json.dumps(
        dict(sealed.details)
    )
    for word in ("what is shown here", "Let us play", "no verdict", "is_unsafe"):
        assert word not in kept
        assert word not in "".join(capsys.readouterr())


def test_a_resumed_or_repeated_stage_gives_the_same_scores(context):
    assert run_stage(stage, context, chunk_size=1).rows == run_stage(stage, context, chunk_size=1).rows


def test_a_release_that_the_channel_points_to_answers_too(context):
    context.references = {"champion": {"run_id": "20251231-former", "fingerprint": "f"}}
    context.reference_records = {("champion", "training"): context.records_by_stage["training"]}
    sealed = run_stage(stage, context, chunk_size=1)
    change = next(score for score in sealed.rows if score.id == "role_play/change_from_champion/error_rate")
    assert (change.value, change.n) == (0, 3)
    assert set(sealed.details["models"]) == {"base", "aligned", "champion"}


def test_an_attack_that_stands_in_train_is_counted(context):
    from spavl.stages.benchmarks.tasks.attacks import ROLE

    copied = row(30, "train", "i" * 64, (ROLE + "what is shown here 0").upper())
    context.rows_by_stage["dataset"].append(copied)
    context.config = settings(context.config.training.base.path, tasks=[{"name": "role_play", "task": "spavl/role_play", "limit": 5}])  # fmt: skip
    assert run_stage(stage, context, chunk_size=1).measures["num_attack_prompts_in_train"] == 1


def test_a_run_of_an_earlier_night_keeps_its_log_and_a_lost_log_is_missed(context):
    from tests.stage_context import work_rows

    runs = work_rows(stage, context, stage.prepare(context), chunk_size=1)
    tomorrow = dataclasses.replace(context, run_id="20260102-later")
    sealed = seal_rows(stage, tomorrow, runs)
    assert sealed.measures["num_benchmarks_missing"] == 0
    assert {score.log.split("/")[1] for score in sealed.rows} == {"20260102-later"}
    assert context.store.exists("runs/20260102-later/benchmarks/logs/role_play--base.eval")
    lost = dataclasses.replace(runs[0], log="runs/gone/benchmarks/logs/x.eval")
    third = dataclasses.replace(context, run_id="20260103-later")
    assert seal_rows(stage, third, [lost, *runs[1:]]).measures["num_benchmarks_missing"] == 1


def test_what_decides_a_row_is_in_its_id(context, trained):
    ids = {item.id for item in stage.prepare(context)}
    assert len(ids) == 6
    assert ids == {item.id for item in stage.prepare(context)}
    for change in ({"seed": 1}, {"max_tokens": 4}, {"batch_size": 3}):
        other = dataclasses.replace(context, config=settings(trained, **change))
        assert not ids & {item.id for item in stage.prepare(other)}


def test_no_judge_no_base_and_an_absent_task_are_a_users_error(context, trained):
    config = Config.model_validate(
        {"profile": "t", "training": {"base": {"kind": "transformers", "name": "t", "path": "p"}}}
    )
    with pytest.raises(UserError, match=r"neither benchmarks\.judge nor evaluation\.judge"):
        stage.prepare(dataclasses.replace(context, config=config))
    absent = settings(trained, tasks=[{"name": "x", "task": "spavl/absent"}])
    with pytest.raises(UserError, match="there is no Inspect task 'spavl/absent'"):
        stage.prepare(dataclasses.replace(context, config=absent))


def test_prompts_are_drawn_by_the_seed_and_every_image_comes_once_before_any_comes_again(tmp_path):
    rows = [row(number, "test_harm", f"i{number % 4}") for number in range(12)]
    drawn = Material(rows, lambda image_id: b"", tmp_path, limit=8, seed=0).prompts("test_harm")
    assert sorted(prompt.image_id for prompt in drawn[:4]) == ["i0", "i1", "i2", "i3"]
    assert sorted(prompt.image_id for prompt in drawn[4:]) == ["i0", "i1", "i2", "i3"]
    other = Material(rows, lambda image_id: b"", tmp_path, limit=8, seed=1).prompts("test_harm")
    assert [prompt.id for prompt in drawn] != [prompt.id for prompt in other]


def test_a_shipped_task_outside_a_run_says_how_to_run_it(tmp_path):
    with pytest.raises(UserError, match="made of a run's dataset version"):
        current()
    empty = Material([], lambda image_id: b"", tmp_path, limit=8, seed=0)
    with using(empty), pytest.raises(UserError, match="0 prompts in split test_harm"):
        current().prompts("test_harm")
