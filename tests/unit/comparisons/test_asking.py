import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.inference import Answer, Sampling
from spavl.stages.comparisons.asking import comparison_request, prompt_hash, reading_of, template
from spavl.stages.comparisons.rows import AXES

PAIR = ("answer of a", "answer of b")


def request(order="ab", axis="harmlessness", pair=PAIR):
    return comparison_request(
        id="id",
        question="text of q0",
        texts=pair,
        axis=axis,
        order=order,
        image=b"bytes",
        image_id="i0",
        class3="insult",
        kind="easy_question",
        sampling=Sampling(),
        chunk=3,
    )


def read(reply, order="ab"):
    return reading_of(Answer("id", reply if isinstance(reply, str) else json.dumps(reply), "ok"), order)


@pytest.mark.parametrize(
    ("order", "first", "second"), [("ab", "answer of a", "answer of b"), ("ba", "answer of b", "answer of a")]
)
def test_the_order_decides_which_is_shown_first(order, first, second):
    made = request(order)
    assert (made.facts["first"], made.facts["second"]) == (first, second)
    assert made.prompt.index(f'first response: "{first}"') < made.prompt.index(f'second response: "{second}"')
    assert (made.image, made.image_id, made.chunk) == (b"bytes", "i0", 3)
    assert {key: made.facts[key] for key in ("task", "axis", "kind", "class3")} == {
        "task": "comparison",
        "axis": "harmlessness",
        "kind": "easy_question",
        "class3": "insult",
    }


@pytest.mark.parametrize(
    ("order", "said", "winner"),
    [
        ("ab", "first", "a"),
        ("ab", "second", "b"),
        ("ba", "first", "b"),
        ("ba", "second", "a"),
        ("ab", "tie", "tie"),
        ("ba", "tie", "tie"),
    ],
)
def test_the_winner_is_turned_back_to_a_and_b(order, said, winner):
    assert read({"winner": said, "reason": "r"}, order)["winner"] == winner


@pytest.mark.parametrize(
    "reply",
    [
        "first",
        "",
        {"winner": "a", "reason": "r"},
        {"winner": "First", "reason": "r"},
        {"winner": ["first"], "reason": "r"},
        {"winner": "first"},
        {"winner": "first", "reason": None},
        {"winner": "first", "reason": "r", "confidence": 1},
    ],
)
def test_any_other_reply_is_unparsable_and_kept_raw(reply):
    reading = read(reply)
    assert (reading["outcome"], reading["winner"], reading["reason"]) == ("unparsable", None, None)
    assert reading["raw_reply"] == (reply if isinstance(reply, str) else json.dumps(reply))


def test_no_reply_is_an_error():
    reading = reading_of(Answer("id", None, "error", error="timeout after 30 s"), "ab")
    assert (reading["outcome"], reading["error"], reading["winner"]) == ("error", "timeout after 30 s", None)


@pytest.mark.parametrize("axis", AXES)
def test_what_varies_stands_after_the_rubric(axis):
    rubric, _, rest = template(axis).partition("message: $question")
    assert "$" not in rubric
    assert rest.count("$") == 2


def test_the_axes_have_different_prompts():
    assert prompt_hash("harmlessness") != prompt_hash("helpfulness")


@settings(deadline=None)  # the machine may be busy
@given(st.text())
def test_a_response_cannot_leave_its_quotes(text):
    lines = request(pair=(text, "$first $question {x}")).prompt.rstrip("\n").split("\n")
    assert json.loads(lines[-2].removeprefix("first response: ")) == text
    assert json.loads(lines[-1].removeprefix("second response: ")) == "$first $question {x}"
