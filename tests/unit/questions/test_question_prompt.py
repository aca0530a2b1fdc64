"""Prompts exist for every kind, name the leaf, and a reply is read as a question or refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.stages.questions.prompt import prompt_hash, read_question, render, template
from spavl.stages.questions.rows import QUESTION_KINDS
from spavl.taxonomy import load_taxonomy


@pytest.mark.parametrize("kind", QUESTION_KINDS)
def test_every_kind_has_its_own_prompt_that_asks_for_json(kind):
    assert '{"question": "..."}' in template(kind)
    assert len({prompt_hash(other) for other in QUESTION_KINDS}) == len(QUESTION_KINDS)


@pytest.mark.parametrize("kind", ["easy_question", "hard_question", "hard_statement"])
def test_harm_prompt_names_all_three_levels_and_leaves_no_placeholder(kind):
    prompt = render(kind, "scams", 1, load_taxonomy())
    assert "Malicious Use / Fraud or deceptive action / Scams" in prompt
    assert prompt.count("{") == 1


def test_benign_prompt_differs_by_number_only():
    first, second = (render("benign_control", "benign", number, load_taxonomy()) for number in (1, 2))
    assert first != second and first.replace("number 1", "number 2") == second


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("no object", "no JSON object in the reply"),
        ('{"q": "x"}', "no text under the key 'question'"),
        ('{"question": 3}', "no text under the key 'question'"),
        ('{"question": "  "}', "the question is empty"),
        ('{"question": "abcdef"}', "the question has 6 characters; at most 5"),
    ],
)
def test_unusable_reply_is_named(reply, error):
    assert read_question(reply, 5) == ("", error)


def test_question_is_read_and_stripped():
    assert read_question('Sure: {"question": " abcde "}', 5) == ("abcde", None)


@given(st.text())
def test_error_never_holds_the_reply(reply):
    text, error = read_question('{"question": "' + "z" * 30 + '"}' + reply, 10)
    assert text == "" and "z" not in error
