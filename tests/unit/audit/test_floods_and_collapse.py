import pytest

from spavl.audit.collapse import collapse
from spavl.audit.floods import (
    commonest_share,
    copies_share,
    effective_number,
    image_floods,
    largest_copies_share,
    normalised,
)
from spavl.audit.texts import Texts


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


# Counts of a model's answers: texts, of the commonest, sum of squares, blank
VARIED, STUCK = Texts(2, 1, 2, 0), Texts(2, 2, 4, 0)


def test_a_model_that_says_one_thing_to_benign_questions_is_seen_beside_a_good_one():
    answers = {("good", "benign"): VARIED, ("good", "harm"): Texts(1, 1, 1, 0), ("stuck", "benign"): STUCK}
    assert collapse(answers | {("stuck", "harm"): Texts(1, 1, 1, 1)}, None) == {
        "commonest_answer_share_benign": 1.0,
        "commonest_answer_share_harm": 1.0,
        "rise_of_commonest_answer": None,
        "effective_answers_benign": 1.0,
        "blank_share_of_model": pytest.approx(1 / 3),
    }


def test_the_rise_is_of_the_same_model_and_side():
    before = {("m", "benign"): VARIED, ("m", "harm"): Texts(1, 1, 1, 0)}
    now = {("m", "benign"): STUCK, ("m", "harm"): Texts(1, 1, 1, 0), ("new", "benign"): Texts(1, 1, 1, 0)}
    assert collapse(now, before)["rise_of_commonest_answer"] == 0.5
