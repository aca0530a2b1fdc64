"""A reply is an object or nothing: never an exception, never a part of a broken object."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.inference.reply import MAX_REPLY_CHARS, parse_json_reply, storable

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.text(alphabet=st.characters(blacklist_characters="{}"), max_size=30)


@pytest.mark.parametrize(
    "text",
    [
        '{"winner": "a"}',
        '  \n{"winner": "a"}\n',
        '```json\n{"winner": "a"}\n```',
        'Sure! Here it is: {"winner": "a"} Hope that helps {friend}.',
        'As {asked}: {"winner": "a"}',
        '{"winner": "a"} {"winner": "b"}',
        '<think>{"winner": "b"}?</think>{"winner": "a"}',
    ],
)
def test_object_is_found_among_words_and_fences(text):
    assert parse_json_reply(text) == {"winner": "a"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "[1, 2]",
        '"winner"',
        "{winner: a}",
        '{"winner": "a"',
        '{"draft": {"winner": "b"}, "winner": "a"',  # the inner object is not the answer
        '{"winner": "a", "winner": "b"}',
        '{"score": NaN}',
        '{"score": ' + "9" * 5000 + "}",
        '{"text": "\\ud800"}',
        '{"a":' * 100_000,
        "{" * 100_000,
        '{"a": 1}' + " " * MAX_REPLY_CHARS,
    ],
)
def test_what_is_no_whole_object_is_nothing(text):
    assert parse_json_reply(text) is None


def test_raw_line_breaks_in_strings_are_kept():
    assert parse_json_reply('{"reason": "one\ntwo"}') == {"reason": "one\ntwo"}


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4), WORDS, WORDS)
def test_any_object_survives_words_around_it(value, before, after):
    assert parse_json_reply(before + json.dumps(value) + after) == value


@given(st.text(alphabet='{}[]":,\\ \nu0dab1<think>/`é\ud800', max_size=200))
def test_no_text_raises_and_every_result_can_be_stored(text):
    found = parse_json_reply(text)
    assert found is None or json.dumps(found, ensure_ascii=False).encode()


@given(st.text(alphabet=st.characters()))
def test_storable_text_is_utf8_and_leaves_good_text_alone(text):
    assert storable(text).encode() == text.encode("utf-8", "replace")
