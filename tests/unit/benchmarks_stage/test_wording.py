import math

from spavl.stages.benchmarks.wording import bound_words, normalised, text_hash


def test_case_blanks_and_punctuation_do_not_hide_a_copied_text():
    assert text_hash("What is  it?") == text_hash("what IS it")
    assert text_hash("what is it now") != text_hash("what is it")
    assert normalised("How-to: do IT!") == "how to do it"


def test_words_are_bound_by_how_often_each_kind_of_question_has_them():
    harm = ["how is it done", "how is it made", "what is it"]
    benign = ["name it", "name what is seen"]
    bound_to_harm, bound_to_benign = bound_words(harm, benign)
    # log odds with one question added to each side: how (2+1)/(1+1) against (0+1)/(2+1); name (0+1)/(3+1) against (2+1)/(0+1)
    assert bound_to_harm[0] == "how" and bound_to_benign[0] == "name"
    assert math.isclose(math.log(3 / 2) - math.log(1 / 3), 1.504, abs_tol=1e-3)
    assert "what" not in bound_to_harm  # (1+1)/(2+1) against (1+1)/(1+1): it leans to benign


def test_a_word_that_says_nothing_is_bound_to_neither():
    assert bound_words(["a b"], ["a c"]) == (["b"], ["c"])
