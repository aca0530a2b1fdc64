"""The work list made in SQL: ids, order and payload are those of a plain Python list, whatever the responses hold."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import question, response
from tests.made_tables import made_tables

from spavl.config import FakeModel
from spavl.inference import Sampling
from spavl.judging import prompt_hash
from spavl.judging.asker import Asker
from spavl.judging.on_trial import Askings
from spavl.records import stable_hash
from spavl.stages.judgements.listing import gold_table, items
from spavl.stages.judgements.rows import GoldItem

ASKER = Asker(FakeModel(kind="fake", name="judge"), 'rev"1', Sampling(max_tokens=99))
MODES = ("text", "image")
QUESTIONS = [
    question("q2", "i0"),
    question("q0", "i1", text='say "it"\n'),
    question("q1", "i0", kind="benign_control"),
]
BY_ID = {row.id: row for row in QUESTIONS}
GOLD = [
    GoldItem("g1", "garbage", "en", "d", "insult", "hard_question", "q0", "asked?", "i1", "m0\t", False, None, None),
    GoldItem("g0", "garbage", "en", "d", "insult", "hard_question", "own", "asked?", "i0", "x", False, None, None),
]  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
RESPONSES = st.dictionaries(
    st.tuples(st.sampled_from(list(BY_ID)), st.sampled_from(["m0", "m1", "zé"]), st.integers(0, 2)),
    st.tuples(TEXT, st.sampled_from(["ok", "ok", "error"])),
    max_size=12,
)


def responses_of(found):
    return [
        response(
            f"{model}/{sample}/{question_id}",
            question_id,
            model,
            image_id=BY_ID[question_id].image_id,
            sample=sample,
            text=text,
            outcome=outcome,
        )
        for (question_id, model, sample), (text, outcome) in found.items()
    ]


def plain_list(responses):
    """(id, table, response id, mode, question, response) of every item, in order."""
    keyed = []
    for mode in MODES:
        said_by = ("judge", 'rev"1', prompt_hash(mode), dataclasses.asdict(ASKER.sampling))
        for row in responses:
            if row.outcome == "ok":
                id = stable_hash("judgement", row.id, row.text, mode, *said_by)
                place = (mode, row.image_id, row.question_id, row.model, row.sample)
                texts = (BY_ID[row.question_id].text, row.text)
                keyed.append((place, (id, "table", row.id, mode, *texts)))
    for item in GOLD:
        place = ("image", item.image_id, item.question_id, item.id, 0)
        keyed.append(
            (place, (f"id of {item.id}", "gold_answered", item.id, "image", item.question, item.response))
        )
    return [entry for _, entry in sorted(keyed, key=lambda pair: pair[0])]


@settings(deadline=None, max_examples=25)  # each example opens an engine
@given(RESPONSES, st.randoms())
def test_the_list_is_that_of_plain_python(found, random):
    responses = responses_of(found)
    random.shuffle(responses)
    tables = made_tables(questions=QUESTIONS, responses=responses)
    tables.view("gold", gold_table(Askings({f"id of {item.id}": (item, "image") for item in GOLD})))
    made = items(tables, MODES, ASKER)
    rows = made.relation.order(", ".join(f'"{name}"' for name in made.order)).to_arrow_table().to_pylist()
    names = ("id", "table", "response_id", "mode", "question", "response")
    assert [tuple(row[name] for name in names) for row in rows] == plain_list(responses)
    assert {row["group"] for row in rows} <= {"judge"}


def test_without_gold_items_the_list_is_of_responses_alone():
    tables = made_tables(questions=QUESTIONS, responses=[response("r", "q0", image_id="i1")])
    tables.view("gold", gold_table(Askings({})))
    rows = items(tables, MODES, ASKER).relation.to_arrow_table().to_pylist()
    assert sorted((row["response_id"], row["mode"], row["kind"]) for row in rows) == [
        ("r", "image", "easy_question"),
        ("r", "text", "easy_question"),
    ]
