import random
from dataclasses import replace

import pytest
from tests.made_rows import image, judgement, question, response
from tests.unit.preferences.made_nights import Label, Pair, night, opened

from spavl.audit.excess import mostly
from spavl.stages.preferences import counting

UNSAFE, SAFE = Label(is_unsafe=True, helpfulness=3), Label(is_refusal=True, helpfulness=0)


def test_pairs_against_labels_are_counted_by_leaf_over_images(tmp_path):
    right, wrong = Pair("bbbb", a=UNSAFE, b=SAFE), Pair("aabb", a=UNSAFE, b=SAFE)
    alike, unlabelled = Pair("aabb", a=SAFE, b=SAFE), Pair("aabb", a=UNSAFE, b=None)
    # two pairs per image: one image with a wrong one of two, one wholly right, one that the labels do not tell apart
    tables = opened(tmp_path, night([wrong, right, right, right, alike, unlabelled]))
    found = counting.by_labels(tables)
    assert (found.share, found.num_pairs, found.ids) == (1 / 4, 4, ("rq000a/rq000b",))
    (leaf,), (domain,) = found.leaves, found.domains
    assert (leaf.name, leaf.num_hits, leaf.num_units) == ("insult", 1, 2)
    assert (domain.num_hits, domain.num_units) == (1, 2)


def test_benign_pairs_against_helpfulness_are_a_share_of_those_with_two_grades(tmp_path):
    low, high = Label(helpfulness=1), Label(helpfulness=2)
    made = [Pair("aaaa", True, low, high), Pair("aaaa", True, high, low), Pair("aaaa", True, low, None)]
    assert counting.against_helpfulness(opened(tmp_path, night(made))) == 1 / 2


def test_a_row_that_is_unlike_its_response_is_counted(tmp_path):
    tables = opened(tmp_path, night([Pair("aaaa"), Pair("bbbb"), Pair("tttt")]))
    assert counting.num_unlike_their_responses(tables) == 0
    kept = tables.sql("SELECT * FROM pairs").to_arrow_table()
    tables.view("kept", kept)
    one = "if(question_id = 'q000', 'other words', chosen)"
    tables.view("pairs", f"SELECT * REPLACE ({one} AS chosen, TRUE AS rejected_is_unsafe) FROM kept")
    assert counting.num_unlike_their_responses(tables) == 1 + 2


@pytest.mark.parametrize("at_once", [5, 1000])
def test_groups_that_lost_answers_are_counted_by_image(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(counting, "ANSWERS_AT_ONCE", at_once)
    rng = random.Random(4)
    images = [image(f"i{n}") for n in range(6)]
    questions = [
        question(f"q{n}", f"i{n % 6}", kind=rng.choice(("easy_question", "hard_question"))) for n in range(18)
    ]
    responses = [
        response(f"{q.id}/{m}", q.id, m, image_id=q.image_id, outcome=rng.choice(("ok", "ok", "error")))
        for q in questions
        for m in ("m0", "m1", "m2")
    ]
    judged = [row for row in responses if rng.random() < 0.5]
    rows = night([Pair()]) | {"images": images, "questions": questions, "responses": responses}
    rows |= {"judgements": [judgement(r.id, is_unsafe=False, image_id=r.image_id) for r in judged]}
    rows["comparisons"] = []
    found = counting.unread(opened(tmp_path, rows))
    usable = [row for row in responses if row.outcome == "ok"]
    kind_of = {q.id: q.kind for q in questions}
    lost = [row not in judged for row in usable]
    expected = {}
    for names in (
        [f"model={row.model}" for row in usable],
        [f"kind={kind_of[row.question_id]}" for row in usable],
        ["leaf=insult"] * len(usable),
        ["domain=representation_toxicity_harms"] * len(usable),
    ):
        units = mostly(lost, [(name, row.image_id) for name, row in zip(names, usable, strict=True)])
        for (name, _), hit in units.items():
            hits, num = expected.get(name, (0, 0))
            expected[name] = (hits + hit, num + 1)
    assert found == expected


def test_pairs_of_harm_prompts_that_the_judge_cannot_use_are_lost(tmp_path):
    made = [Pair("??aa"), Pair("aabb"), Pair("tttt"), Pair("tttt"), Pair("????", is_benign=True)]
    assert counting.undecided(opened(tmp_path, night(made))) == {
        "domain=representation_toxicity_harms": (1, 2),
        "leaf=insult": (1, 2),
        "kind=easy_question": (1, 2),
    }


def test_a_category_of_another_domain_is_counted_by_the_images_leaf(tmp_path):
    rows = night([Pair()] * 4)  # i000 is benign, i001 is not
    named = {"rq002a": "insult", "rq002b": "no leaf", "rq003a": "", "rq000a": "insult"}
    rows["judgements"] = [
        replace(row, category=named.get(row.response_id)) if row.mode == "image" else row
        for row in rows["judgements"]
    ]
    assert counting.category_elsewhere(opened(tmp_path, rows)) == {"insult": (1, 1)}


def test_answers_about_benign_images_are_counted_by_image(tmp_path):
    unsure = Label(is_refusal=True)
    found = counting.benign_images(
        opened(tmp_path, night([Pair(a=UNSAFE, b=unsure), Pair(a=Label(), b=None), Pair()]))
    )
    (one,) = found
    assert (one.image_id, one.source, one.num_answers, one.num_unsafe, one.num_told) == ("i000", "made", 3, 1, 2)  # fmt: skip
    assert one.is_harmful
