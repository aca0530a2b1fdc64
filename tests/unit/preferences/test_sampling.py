import random

import pytest
from tests.unit.preferences.made_nights import Label, Pair, night, opened

from spavl.audit import triggers
from spavl.audit.words import sampled, sampled_groups
from spavl.stages.preferences import sampling
from spavl.stages.preferences.counting import BENIGN_PAIRS, HARM

UNSAFE = Label(is_unsafe=True)
DRAWN = (None, Label(), UNSAFE, Label(is_refusal=True))


@pytest.fixture
def rows():
    rng = random.Random(1)
    letters = ("aabb", "bbaa", "tttt", "aaaa", "ttab", "ttbb")
    made = [
        Pair(rng.choice(letters), rng.random() < 0.4, rng.choice(DRAWN), rng.choice(DRAWN)) for _ in range(60)
    ]
    rows = night(made)
    for table in rows.values():
        rng.shuffle(table)
    return rows


@pytest.fixture
def tables(tmp_path, rows):
    return opened(tmp_path, rows)


def chosen(ids, limit):
    """Those that `sampled` chooses of all, sorted."""
    ids = sorted(ids)
    return [ids[place] for place in sampled(ids, limit)]


@pytest.mark.parametrize("limit", [5, 1000])
@pytest.mark.parametrize("condition", [HARM, BENIGN_PAIRS, sampling.TEACHING])
def test_pairs_are_sampled_by_the_hash_of_their_id(tables, monkeypatch, limit, condition):
    monkeypatch.setattr(sampling, "MAX_PAIRS", limit)
    monkeypatch.setattr(triggers, "MAX_ROWS", limit)
    ids = [id for (id,) in tables.sql(f"SELECT pair FROM pairs WHERE {condition}").fetchall()]
    assert [pair.id for pair in sampling.pairs(tables, condition)] == chosen(ids, limit)
    assert sorted(row.id for row in sampling.asked(tables, condition, "TRUE")) == chosen(ids, limit)


def test_a_pair_has_the_words_of_its_answers(tables, rows):
    texts = {row.id: row.text for row in rows["responses"]}
    for pair in sampling.pairs(tables, HARM):
        assert [pair.chosen, pair.rejected] == [texts[id] for id in pair.id.split("/")]
        assert (pair.leaf, pair.domain) == ("insult", "representation_toxicity_harms")


def test_two_unsafe_answers_teach_nothing_about_harm(tables, rows):
    unsafe = {row.response_id for row in rows["judgements"] if row.mode == "image" and row.is_unsafe}
    both = {pair.id for pair in sampling.pairs(tables, HARM) if set(pair.id.split("/")) <= unsafe}
    assert both
    assert {pair.id for pair in sampling.pairs(tables, sampling.TEACHING)} == {
        pair.id for pair in sampling.pairs(tables, HARM)
    } - both


@pytest.mark.parametrize("limit", [1, 10, 1000])
def test_labels_are_sampled_by_whole_images(tables, rows, monkeypatch, limit):
    monkeypatch.setattr(sampling, "MAX_ROWS", limit)
    judged = sorted(
        (row for row in rows["judgements"] if row.mode == "image"), key=lambda row: row.response_id
    )
    expected = [judged[place] for place in sampled_groups([row.image_id for row in judged], limit)]
    found = sampling.labelled(tables)
    assert [(row.id, row.label, is_refusal) for row, is_refusal in found] == [
        (row.response_id, row.is_unsafe, row.is_refusal) for row in expected
    ]
    texts, questions = (
        {row.id: row for row in rows["responses"]},
        {row.id: row for row in rows["questions"]},
    )
    for row, judgement in zip([row for row, _ in found], expected, strict=True):
        question = questions[judgement.question_id]
        assert row.text == f"{texts[row.id].text} kind_{question.kind} {question.text}"
        assert (row.image_id, row.model, row.leaf) == (judgement.image_id, judgement.model, question.class3)


@pytest.mark.parametrize("limit", [4, 1000])
def test_images_are_sampled_with_their_captions_and_all_answers_in_one_order(
    tables, rows, monkeypatch, limit
):
    monkeypatch.setattr(sampling, "MAX_IMAGES", limit)
    ids = [row.id for row in rows["images"]]
    assert sorted(image.image_id for image in sampling.captioned(tables)) == chosen(ids, limit)
    for image in sampling.answered(tables, ["m1", "m0"]):
        about = [row for row in rows["responses"] if row.image_id == image.image_id]
        ordered = sorted(about, key=lambda row: (row.model != "m1", row.question_id))
        assert image.words == " ".join(row.text for row in ordered)
    assert sorted(image.image_id for image in sampling.answered(tables, [])) == chosen(ids, limit)


def test_a_question_is_a_hit_if_at_least_half_of_its_labels_are_noisy(tables, rows, monkeypatch):
    judged = [row for row in rows["judgements"] if row.mode == "image"]
    of_question = {}
    for row in judged:
        of_question.setdefault(row.question_id, []).append(row.response_id)
    noisy = {ids[0] for question, ids in of_question.items() if question > "q030"}
    found = {row.id: row.is_hit for row in sampling.asked_with(tables, noisy)}
    assert found == {question: question > "q030" for question in of_question}  # one of one, or one of two
    monkeypatch.setattr(triggers, "MAX_ROWS", 7)
    assert sorted(row.id for row in sampling.asked_with(tables, noisy)) == chosen(of_question, 7)


def test_a_pair_is_a_hit_if_labels_or_words_speak_against_it(tables):
    (first, *others) = sampling.asked_against(tables, ())
    assert not first.is_hit
    again = {row.id: row.is_hit for row in sampling.asked_against(tables, [first.id])}
    assert again == {first.id: True} | {row.id: row.is_hit for row in others}


def test_a_model_is_a_hit_if_it_is_chosen(tables):
    assert sampling.chosen_models(tables, HARM) == ["m0", "m1"]
    for row in sampling.asked_of_model(tables, HARM, "m1"):
        assert row.is_hit == row.id.split("/")[0].endswith("b")
