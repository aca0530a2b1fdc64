from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.audit import paraphrases
from spavl.audit.paraphrases import MIN_JACCARD, alike, held_back, overlap

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


words = st.lists(
    st.sampled_from(["red", "green", "shape", "what", "is", "this", "draw"]), min_size=1, max_size=6
)


@settings(deadline=None)  # the machine may be busy
@given(st.sets(words.map(" ".join), max_size=8), st.sets(words.map(" ".join), max_size=8))
def test_the_prefix_filter_finds_all_that_comparing_all_with_all_finds(texts, others):
    def jaccard(one, other):
        one, other = (
            {text[start : start + 5] for start in range(max(1, len(text) - 4))} for text in (one, other)
        )
        return len(one & other) / len(one | other)

    expected = {one for one in texts if any(jaccard(one, other) >= MIN_JACCARD for other in others)}
    assert {one for one, _ in alike(texts, others)} == expected


def test_texts_that_share_no_rare_run_are_not_compared(monkeypatch):
    compared = []
    monkeypatch.setattr(paraphrases, "_jaccard", lambda one, other: compared.append(1) or False)
    list(alike({f"is the picture {number:05d}" for number in range(50)}, {f"is {n} " * 3 for n in range(50)}))
    assert len(compared) < 250  # of 2500
