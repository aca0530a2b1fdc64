"""Pairs chosen in SQL: the rules by hand, and the same choice as plain Python on any answers."""

import itertools
import sys
from collections import Counter, defaultdict

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import question, response
from tests.made_tables import made_tables

from spavl.records import stable_hash
from spavl.stages.comparisons import pairs
from spavl.stages.comparisons.pairs import WHITE_SPACE, choose_pairs, num_identical

GROUPS = {"m0": 0, "m1": 1, "m2": 2, "twin": 2}


def answers(question_id="q", **texts):
    return [
        response(f"{question_id}-{model}", question_id, model, text=text) for model, text in texts.items()
    ]


def tables(rows):
    questions = [question(id) for id in sorted({row.question_id for row in rows} | {"unanswered"})]
    made = made_tables(responses=rows, questions=questions)
    made.view("groups", pa.table({"model": list(GROUPS), "safety_group": list(GROUPS.values())}))
    return made


def choose(rows, num_pairs=1, seed=0):
    """(question, a, b) of every chosen pair, sorted."""
    made = tables(rows)
    chosen = choose_pairs(made, made._cache.parent, seed=seed, num_pairs=num_pairs).to_pylist()
    return sorted((row["question_id"], row["a"], row["b"]) for row in chosen)


def models_of(chosen):
    return {frozenset((a.split("-")[1], b.split("-")[1])) for _, a, b in chosen}


def plain_choice(rows, seed, num_pairs):
    """The pairs and the number of identical ones, question by question, in plain Python."""
    by_question = defaultdict(list)
    for row in rows:
        if row.outcome == "ok" and row.text.strip():
            by_question[row.question_id].append(row)
    chosen, identical = [], 0
    for question_id, usable in by_question.items():
        by_id = sorted(usable, key=lambda row: row.id)
        crossing = [(a, b) for a, b in itertools.combinations(by_id, 2) if GROUPS[a.model] != GROUPS[b.model]]
        differing = [(a, b) for a, b in crossing if a.text.strip() != b.text.strip()]
        identical += len(crossing) - len(differing)
        differing.sort(key=lambda pair: stable_hash("pair", seed, question_id, pair[0].id, pair[1].id))
        by_texts = {}
        for a, b in differing:
            by_texts.setdefault(frozenset((a.text, b.text)), (question_id, a.id, b.id))
        chosen += list(by_texts.values())[:num_pairs]
    return sorted(chosen), identical


def test_pairs_come_from_different_groups_and_are_distinct():
    chosen = choose(answers(m0="zero", m1="one", m2="two", twin="three"), num_pairs=10)
    assert models_of(chosen) == {
        frozenset(p) for p in (("m0", "m1"), ("m0", "m2"), ("m0", "twin"), ("m1", "m2"), ("m1", "twin"))
    }
    assert len(chosen) == 5


def test_identical_texts_are_no_pair_and_are_counted():
    rows = answers(m0="same", m1="same ", m2="other")
    assert models_of(choose(rows, num_pairs=10)) == {frozenset(("m0", "m2")), frozenset(("m1", "m2"))}
    assert num_identical(tables(rows)) == 1


def test_two_pairs_of_the_same_two_texts_are_one():
    assert len(choose(answers(m0="bad", m2="good", twin="good"), num_pairs=10)) == 1


def test_failed_and_blank_answers_are_never_paired():
    assert (
        choose([*answers(m0="zero", m1=" \u3000\n"), response("x", "q", "m2", outcome="error", text="")])
        == []
    )


def test_the_choice_spreads_evenly_over_groups():
    # 600 questions, three possible pairs each: 200 expected, standard deviation 11.5
    rows = [row for number in range(600) for row in answers(f"q{number}", m0="a", m1="b", m2="c")]
    found = Counter(models_of([pair]).pop() for pair in choose(rows))
    assert len(found) == 3 and found.total() == 600
    assert all(150 < count < 250 for count in found.values())


def test_another_seed_chooses_other_pairs():
    rows = answers(m0="a", m1="b", m2="c")
    assert len({frozenset(models_of(choose(rows, seed=seed))) for seed in range(20)}) > 1


def test_batches_of_questions_change_nothing(monkeypatch):
    rows = [row for number in range(10) for row in answers(f"q{number}", m0="a", m1="b", m2="c")]
    whole = choose(rows, num_pairs=2)
    monkeypatch.setattr(pairs, "QUESTIONS_PER_BATCH", 3)
    assert choose(rows, num_pairs=2) == whole


def test_white_space_is_what_strip_takes_away():
    assert sorted(WHITE_SPACE) == [
        character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()
    ]


TEXTS = st.one_of(
    st.sampled_from(["yes", "yes ", "\u2003yes\x1c", "no", "", " ", "\x85\u3000"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
ANSWERS = st.dictionaries(
    st.tuples(st.sampled_from(['q"0', "q1", "q\u00e92"]), st.sampled_from(list(GROUPS)), st.integers(0, 1)),
    st.tuples(TEXTS, st.sampled_from(["ok", "ok", "error"])),
    max_size=24,
)


@settings(deadline=None, max_examples=40)  # each example opens an engine
@given(ANSWERS, st.integers(1, 4), st.integers(0, 2), st.randoms())
def test_the_choice_is_that_of_plain_python(found, num_pairs, seed, random):
    rows = [
        response(
            f"{model}\\{sample}/{question_id}", question_id, model, sample=sample, text=text, outcome=outcome
        )
        for (question_id, model, sample), (text, outcome) in found.items()
    ]
    random.shuffle(rows)
    chosen, identical = plain_choice(rows, seed, num_pairs)
    assert choose(rows, num_pairs, seed) == chosen
    assert num_identical(tables(rows)) == identical
