from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import response

from spavl.comparisons.pairs import choose_pairs

GROUPS = {"m0": 0, "m1": 1, "m2": 2, "twin": 2}


def answers(question_id="q", **texts):
    return [
        response(f"{question_id}-{model}", question_id, model, text=text) for model, text in texts.items()
    ]


def choose(rows, num_pairs=1, seed=0, question_id="q"):
    return choose_pairs(question_id, rows, GROUPS, seed=seed, num_pairs=num_pairs)


def models_of(choice):
    return {frozenset((pair.a.model, pair.b.model)) for pair in choice.pairs}


def test_pairs_come_from_different_groups_and_are_distinct():
    choice = choose(answers(m0="zero", m1="one", m2="two", twin="three"), num_pairs=10)
    assert models_of(choice) == {
        frozenset(p) for p in (("m0", "m1"), ("m0", "m2"), ("m0", "twin"), ("m1", "m2"), ("m1", "twin"))
    }
    assert len(choice.pairs) == 5


def test_identical_texts_are_no_pair_and_are_counted():
    choice = choose(answers(m0="same", m1="same ", m2="other"), num_pairs=10)
    assert models_of(choice) == {frozenset(("m0", "m2")), frozenset(("m1", "m2"))}
    assert choice.num_identical == 1


def test_two_pairs_of_the_same_two_texts_are_one():
    choice = choose(answers(m0="bad", m2="good", twin="good"), num_pairs=10)
    assert len(choice.pairs) == 1


def test_failed_and_blank_answers_are_never_paired():
    rows = [*answers(m0="zero", m1="  "), response("x", "q", "m2", outcome="error", text="")]
    assert choose(rows).pairs == ()


def test_the_choice_spreads_evenly_over_groups():
    # 600 questions, three possible pairs each: 200 expected, standard deviation 11.5
    found = Counter()
    for number in range(600):
        name = f"q{number}"
        found.update(models_of(choose(answers(name, m0="a", m1="b", m2="c"), question_id=name)))
    assert len(found) == 3
    assert all(150 < count < 250 for count in found.values())


def test_another_seed_chooses_other_pairs():
    rows = answers(m0="a", m1="b", m2="c")
    assert len({frozenset(models_of(choose(rows, seed=seed))) for seed in range(20)}) > 1


@settings(deadline=None)  # the machine may be busy
@given(st.permutations(answers(m0="zero", m1="one", m2="two", twin="three")), st.integers(1, 4))
def test_the_order_of_rows_changes_nothing(rows, num_pairs):
    assert choose(rows, num_pairs) == choose(answers(m0="zero", m1="one", m2="two", twin="three"), num_pairs)
