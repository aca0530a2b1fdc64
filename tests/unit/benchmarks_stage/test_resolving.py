"""A task that is not there stops the run when it is planned, in one line, and no code of a user's file runs for it."""

import importlib.util
import json

import pytest

from spavl.config.root import Config
from spavl.errors import UserError
from spavl.stages.benchmarks import resolving
from spavl.stages.benchmarks.config import BenchmarkTask

FILE = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample

@task
def colours(num: int = 2) -> Task:
    return Task(dataset=[Sample(input=f"colour {number}", target="red") for number in range(num)])
"""


def named(task, **more):
    return BenchmarkTask(name="mine", task=task, **more)


def test_every_default_task_is_there_and_has_a_family():
    tasks = Config(profile="p").benchmarks.tasks
    resolving.check_tasks(tasks)
    assert {resolving.family_of(task) for task in tasks} == {"attack", "over_refusal", "capability"}


def test_a_task_of_a_file_is_found_without_running_it_and_made_with_its_arguments(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE + "\nraise RuntimeError('run')\n")
    task = named(f"{path}@colours", args={"num": 3})
    resolving.check_tasks([task])
    assert resolving.family_of(task) == "other"
    path.write_text(FILE)
    assert len(resolving.make_task(task).dataset) == 3


def test_another_text_of_the_file_is_another_version(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    before = resolving.task_version(named(f"{path}@colours"))
    path.write_text(FILE.replace("red", "blue"))
    assert resolving.task_version(named(f"{path}@colours")) != before


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("spavl/nothing", "spavl ships typed_in_image"),
        ("no_such_package/xstest", "the package 'no_such_package' is not installed here"),
        ("xstest", "is not installed here"),
        ("pytest/xstest", "registers nothing with Inspect"),
        ("{folder}/none.py@colours", "there is no file"),
        ("{folder}/mine.py@shapes", "mine.py has colours"),
        ("{folder}/broken.py@colours", "is not Python"),
    ],
)
def test_a_task_that_is_not_there_is_one_line_with_the_remedy(tmp_path, task, said):
    (tmp_path / "mine.py").write_text(FILE)
    (tmp_path / "broken.py").write_text("def colours(:")
    with pytest.raises(UserError) as raised:
        resolving.check_tasks([named(task.format(folder=tmp_path))])
    assert said in str(raised.value) and "path/to/file.py@<task>" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_arguments_that_a_task_does_not_take_are_named(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    with pytest.raises(UserError, match="does not take its args \\(number\\)"):
        resolving.make_task(named(f"{path}@colours", args={"number": 3}))


def test_files_of_a_published_benchmark_are_looked_at_before_the_run(tmp_path):
    task = named("spavl/siuo_choices", args={"folder": str(tmp_path)})
    resolving.check_tasks([task])
    with pytest.raises(UserError, match=r"siuo_mcqa\.json is not in the published layout"):
        resolving.check_files([task])
    entry = {"question_id": 1, "image": "a.png", "question": "q", "category": "c", "options": {"A": "a"}, "correct_option": "A"}  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "siuo_mcqa.json").write_text(json.dumps([entry]))
    resolving.check_files([task])
    with pytest.raises(UserError, match=r"does not take its args \(folders\)"):
        resolving.check_files([named("spavl/vlsbench", args={"folders": "x"})])


def test_without_inspect_one_line_says_how_to_get_it(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "inspect_ai" else found(name, *more))  # fmt: skip
    with pytest.raises(UserError, match=r"pip install 'spavl\[benchmarks\]'"):
        resolving.check_tasks(Config(profile="p").benchmarks.tasks)


def test_an_empty_list_and_a_name_given_twice_are_refused_by_the_profile():
    task = {"name": "a", "task": "spavl/role_play"}
    for tasks, said in (([], "at least one task"), ([task, task], "names must differ")):
        with pytest.raises(ValueError, match=said):
            Config.model_validate({"profile": "p", "benchmarks": {"tasks": tasks}})
