from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.audit.paraphrases import held_back, overlap
from spavl.audit.shingles import MIN_JACCARD, TextIndex

TRAIN = ["Which shape is drawn here?", "How is the placeholder activity of this picture done?"]


def test_the_same_words_in_other_case_are_verbatim():
    found = overlap(["which shape is drawn HERE", "Name a colour."], TRAIN)
    assert found.verbatim_share(["which shape is drawn HERE", "Name a colour."]) == 0.5
    assert found.paraphrased_share(["Name a colour."]) == 0
    assert found.verbatim_share([]) is None


def test_a_word_more_is_a_paraphrase_and_not_verbatim():
    test = ["Hello, how is the placeholder activity of this picture done?"]
    found = overlap(test, TRAIN)
    assert (found.verbatim_share(test), found.paraphrased_share(test)) == (0, 1)


def test_train_texts_that_stand_in_the_test_are_held_back():
    test = ["how is the placeholder activity of this picture done? thanks"]
    assert held_back([*TRAIN, "thanks"], test) == {"how is the placeholder activity of this picture done"}


def jaccard(one, other):
    one, other = (
        {text[start : start + 5] for start in range(max(1, len(text) - 4))} for text in (one, other)
    )
    return len(one & other) / len(one | other)


words = st.lists(
    st.sampled_from(["red", "green", "shape", "what", "is", "this", "draw", "ωδή", "形状は何", "🙂🙃"]),
    max_size=6,
).map(" ".join)


@settings(deadline=None)  # the machine may be busy
@given(st.sets(words, max_size=8), st.sets(words, max_size=8))
def test_the_prefix_filter_finds_all_that_comparing_all_with_all_finds(texts, others):
    texts, others = sorted(texts), sorted(others)
    expected = {
        (row, place)
        for row, one in enumerate(texts)
        for place, other in enumerate(others)
        if jaccard(one, other) >= MIN_JACCARD
    }
    assert set(TextIndex(others).alike(texts)) == expected


def test_many_meetings_in_small_blocks_give_the_same_pairs(monkeypatch):
    texts = [f"is this the picture {number:02d}" for number in range(60)]
    at_once = set(TextIndex(texts).alike(texts))
    monkeypatch.setattr("spavl.audit.shingles._MEETINGS_AT_ONCE", 7)
    assert set(TextIndex(texts).alike(texts)) == at_once
    assert {(number, number) for number in range(60)} < at_once


def test_a_share_counts_each_prompt():
    found = overlap(["Red.", "green"], ["red"])
    assert found.verbatim_share({"Red.": 3, "green": 1}) == 0.75


def test_texts_that_share_no_rare_run_are_not_compared(monkeypatch):
    compared, compare = [], TextIndex._is_alike

    def counted(self, left, right, *rest):
        compared.extend(zip(left, right, strict=True))
        return compare(self, left, right, *rest)

    monkeypatch.setattr(TextIndex, "_is_alike", counted)
    index = TextIndex([f"is {n} " * 3 for n in range(50)])
    list(index.alike([f"is the picture {number:05d}" for number in range(50)]))
    assert len(compared) < 250  # of 2500
