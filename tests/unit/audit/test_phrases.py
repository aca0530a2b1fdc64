import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spavl.audit.phrases import phrases_in


def runs(text: str, max_words: int) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    lengths = range(1, max_words + 1)
    return {" ".join(words[i : i + n]) for n in lengths for i in range(len(words) - n + 1)}


def listed(texts: list[str], max_words: int, min_texts: int) -> dict[str, list[int]]:
    found = phrases_in(texts, max_words=max_words, min_texts=min_texts)
    return {found.text_of(n): found.places_of(n).tolist() for n in range(len(found))}


def test_phrases_are_runs_of_words_in_small_letters():
    assert listed(["Now, STOP now it", "other"], 3, 1).keys() == {
        "now", "stop", "it", "now stop", "stop now", "now it", "now stop now", "stop now it", "other",
    }  # fmt: skip


def test_a_phrase_never_runs_from_one_text_into_the_next():
    assert listed(["a b", "c", "", "b c"], 2, 1) == {
        "a": [0], "b": [0, 3], "c": [1, 3], "a b": [0], "b c": [3],
    }  # fmt: skip


texts = st.lists(st.text("abC -\n", max_size=12), max_size=12)


@given(texts, st.integers(1, 4), st.integers(1, 4))
def test_every_phrase_has_exactly_the_texts_that_have_it(texts, max_words, min_texts):
    expected: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        for run in runs(text, max_words):
            expected.setdefault(run, []).append(place)
    expected = {run: found for run, found in expected.items() if min_texts <= len(found) < len(texts)}
    assert listed(texts, max_words, min_texts) == expected


@given(texts, st.integers(0, 2**12))
def test_texts_with_a_flag_are_counted(texts, bits):
    flags = np.array([bool(bits >> n & 1) for n in range(len(texts))], dtype=bool)
    found = phrases_in(texts, max_words=2, min_texts=1)
    assert found.num_among(flags).tolist() == [
        int(flags[found.places_of(n)].sum()) for n in range(len(found))
    ]
    assert found.num_texts.tolist() == [len(found.places_of(n)) for n in range(len(found))]
