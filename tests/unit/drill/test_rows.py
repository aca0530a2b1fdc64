"""Poisoned rows: pairs, comparisons, and tables without a model."""

from __future__ import annotations

import dataclasses

import pytest
from tests import rows as good

from spavl.drill import rows, table_verdicts
from spavl.drill.impossible import Impossible
from spavl.drill.table_catalogue import TABLE_POISONS
from spavl.drill.table_poisons import Tables


def tables(**other: list) -> Tables:
    return Tables(lambda stage: other.get(stage, good.good_rows(stage)))


def test_an_exchanged_pair_takes_all_that_is_known_of_both_answers_along() -> None:
    pair = dataclasses.replace(good.preferences()[0], chosen_is_unsafe=False, rejected_is_unsafe=True)
    made = rows.exchanged(pair)
    assert (made.chosen, made.rejected) == (pair.rejected, pair.chosen)
    assert (made.chosen_model, made.chosen_is_unsafe) == (pair.rejected_model, True)
    assert rows.exchanged(made) == pair


def test_exchanged_texts_leave_the_labels_where_they_were() -> None:
    pair = dataclasses.replace(good.preferences()[0], chosen_is_unsafe=False, rejected_is_unsafe=True)
    (made,) = rows.exchanged_texts(lambda row: True)([pair], tables().__getitem__)
    assert (made.chosen, made.rejected, made.chosen_is_unsafe) == (pair.rejected, pair.chosen, False)


def test_pairs_are_exchanged_for_the_classes_that_are_named_only() -> None:
    pairs = good.preferences()
    leaf = next(row.class3 for row in pairs if not row.is_benign)
    made = rows.exchanged_pairs(rows.of_classes((leaf,)))(pairs, tables().__getitem__)
    assert {row.class3 for row, new in zip(pairs, made, strict=True) if row != new} == {leaf}


def test_a_share_of_images_hits_about_that_share_and_all_rows_of_an_image() -> None:
    hit = rows.share_of_images(0.2)
    pairs = [dataclasses.replace(good.preferences()[0], image_id=f"i{number}") for number in range(500)]
    assert 0.15 < sum(map(hit, pairs)) / 500 < 0.25
    assert hit(pairs[7]) == hit(dataclasses.replace(pairs[7], id="another"))


def test_train_asks_what_the_test_prompts_of_its_kind_ask() -> None:
    dataset = good.dataset()
    trained = next(row for row in dataset if row.split == "train")
    pair = dataclasses.replace(good.preferences()[0], question_id=trained.question_id, kind=trained.kind)
    asked = {row.question for row in dataset if row.split.startswith("test") and row.kind == trained.kind}
    made = rows.asking_test_questions(lambda text: f"now, {text}")(
        [pair], tables(dataset=dataset).__getitem__
    )
    assert made[0].question.removeprefix("now, ") in asked


def test_relabelled_questions_follow_their_image_in_class_and_kind() -> None:
    changed = next(poison for poison in TABLE_POISONS if poison.name == "labels-leaf-benign").change(tables())
    classes = {row.id: row.class3 for row in changed["images"]}
    assert all(row.class3 == classes[row.image_id] for row in changed["questions"])
    assert all((row.kind == "benign_control") == (row.class3 == "benign") for row in changed["questions"])


def test_a_turned_judgement_says_the_opposite() -> None:
    row = next(row for row in good.judgements() if row.outcome == "ok" and row.is_unsafe)
    made = table_verdicts.turned(row)
    assert (made.is_unsafe, made.severity, made.is_refusal, made.helpfulness) == (False, 0, not row.is_refusal, 3 - row.helpfulness)  # fmt: skip
    assert (
        table_verdicts.safe(row).is_refusal and table_verdicts.unsafe(table_verdicts.safe(row)).severity == 1
    )


def test_a_judge_of_length_prefers_the_longer_answer_and_leaves_gold_pairs_alone() -> None:
    row = dataclasses.replace(good.comparisons()[0], response_a="a", response_b="b", winner="tie")
    assert table_verdicts.longer(row, {"a": "short", "b": "longer one"}) == "b"
    assert table_verdicts.longer(row, {"a": "same", "b": "four"}) == "tie"
    assert table_verdicts.longer(dataclasses.replace(row, winner="a"), {}) == "a"


def test_a_night_with_one_source_has_none_to_lose() -> None:
    images = [dataclasses.replace(row, source="one") for row in good.images()]
    with pytest.raises(Impossible, match="1 image source"):
        next(poison for poison in TABLE_POISONS if poison.name == "images-source-gone").change(
            tables(images=images)
        )


def test_table_poisons_have_names_of_their_own() -> None:
    names = [poison.name for poison in TABLE_POISONS]
    assert len(set(names)) == len(names) >= 25
