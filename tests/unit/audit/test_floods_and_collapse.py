import pytest

from spavl.audit.collapse import collapse, texts_by_model
from spavl.audit.floods import (
    commonest_share,
    copies_share,
    effective_number,
    image_floods,
    largest_copies_share,
    normalised,
    question_floods,
)


def test_case_and_punctuation_do_not_make_another_text():
    assert normalised("  What IS this?!\n") == normalised("what is this") == "what is this"


def test_shares_and_effective_numbers_by_hand():
    groups = ["a", "a", "a", "b"]
    assert commonest_share(groups) == 0.75
    assert effective_number(groups) == pytest.approx(16 / 10)  # 1 / (9/16 + 1/16)
    assert largest_copies_share(groups) == 0.5  # two of four images are copies of a
    assert copies_share(groups) == 0.5
    assert commonest_share([]) is effective_number([]) is largest_copies_share([]) is copies_share([]) is None


def test_one_benign_image_150_times_stands_out_on_its_side_alone():
    class1 = {f"b{n}": "benign" for n in range(470)} | {f"h{n}": "fraud" for n in range(265)}
    groups = {name: "b0" if name[0] == "b" and int(name[1:]) < 150 else name for name in class1}
    measures = image_floods(class1, groups)
    assert measures["largest_copies_share_benign"] == pytest.approx(149 / 470)
    assert measures["largest_copies_share_harm"] == 0
    assert measures["effective_images_harm"] == pytest.approx(265)
    assert measures["effective_images_benign"] == pytest.approx(470**2 / (150**2 + 320))


def test_the_kind_with_one_question_is_not_hidden_by_the_others():
    kinds = ["easy"] * 4 + ["hard"] * 2
    measures = question_floods(kinds, ["one", "two", "three", "four", "Same.", "same"])
    assert measures == {"commonest_question_share": 1.0, "effective_questions": 1.0}
    assert question_floods([], []) == {"commonest_question_share": None, "effective_questions": None}


def answers(*rows):
    return texts_by_model(rows, frozenset({"b1", "b2"}))


def test_a_model_that_says_one_thing_to_benign_questions_is_seen_beside_a_good_one():
    measures = collapse(
        answers(
            ("good", "b1", "A cat."), ("good", "b2", "A dog."), ("good", "h1", "No."),
            ("stuck", "b1", "Sorry!"), ("stuck", "b2", "sorry"), ("stuck", "h1", ""),
        ),
        None,
    )  # fmt: skip
    assert measures == {
        "commonest_answer_share_benign": 1.0,
        "commonest_answer_share_harm": 1.0,
        "rise_of_commonest_answer": None,
        "effective_answers_benign": 1.0,
        "blank_share_of_model": pytest.approx(1 / 3),
    }


def test_the_rise_is_of_the_same_model_and_side():
    before = answers(("m", "b1", "x"), ("m", "b2", "y"), ("m", "h1", "no"))
    now = answers(("m", "b1", "x"), ("m", "b2", "x"), ("m", "h1", "no"), ("new", "b1", "z"))
    assert collapse(now, before)["rise_of_commonest_answer"] == 0.5
