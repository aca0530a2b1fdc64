import random

from tests.stage_context import FakeContext
from tests.unit.evaluation.test_evaluation_stage import config, prompt

from spavl.artifacts.store import open_store
from spavl.version_rows import TrainQuestion, has_train_pairs, rows_of_splits, train_questions

ROWS = [
    prompt(3, "train", "i2"),
    prompt(1, "train", "i9"),
    prompt(5, "validation", "i1"),
    prompt(4, "test_harm", "i3"),
    prompt(2, "test_harm", "i4"),
    prompt(6, "test_help", "i0"),
]  # in the order of a new version: split, image, question


def context(tmp_path, rows):
    store = open_store(f"file://{tmp_path}/store")
    return FakeContext(config(), store, "evaluation", {"dataset": rows})


def test_rows_of_some_splits_come_in_the_order_of_a_new_version_however_its_parts_lie(tmp_path):
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    read = context(tmp_path, shuffled)
    assert rows_of_splits(read, "test_harm", "test_help") == ROWS[3:]
    assert rows_of_splits(read, "validation", "train") == ROWS[:3]
    assert list(train_questions(read)) == [
        TrainQuestion(row.question, row.image_id, row.class1, row.class3) for row in ROWS[:2]
    ]


def test_a_version_without_pairs_has_none_to_train_on(tmp_path):
    assert has_train_pairs(context(tmp_path, ROWS))
    assert not has_train_pairs(context(tmp_path / "other", ROWS[2:]))
    assert list(train_questions(context(tmp_path / "third", ROWS[2:]))) == []
