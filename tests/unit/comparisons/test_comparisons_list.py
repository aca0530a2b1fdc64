"""The work list made in SQL: ids, order, texts and groups are those of a plain Python list."""

import dataclasses

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import question, response
from tests.made_tables import made_tables

from spavl.config import FakeModel
from spavl.inference import Sampling
from spavl.judging.asker import Asker
from spavl.judging.on_trial import Askings
from spavl.records import stable_hash
from spavl.stages.comparisons.asking import prompt_hash
from spavl.stages.comparisons.listing import gold_table, items
from spavl.stages.comparisons.rows import AXES, ORDERS, GoldPair

ASKER = Asker(FakeModel(kind="fake", name="judge"), "rev", Sampling(max_tokens=99))
QUESTIONS = [question("q1", "i0"), question("q0", "i1"), question("q2", "i0")]
GROUPS = {"m0": 0, "m1": 3}
GOLD = GoldPair("g", "x_against_y", "en", "d", "insult", "hard_question", "q1", "asked?", "i0", "helpfulness", "won", "lost", "a")  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def plain_list(pairs):
    """(id, table, a, b, axis, order, texts, groups) of every item, in order."""
    keyed = []
    for a, b in pairs:
        for axis in AXES:
            said_by = ("judge", "rev", prompt_hash(axis), dataclasses.asdict(ASKER.sampling))
            for order in ORDERS:
                id = stable_hash("comparison", a.id, a.text, b.id, b.text, axis, order, *said_by)
                entry = (
                    id,
                    "table",
                    a.id,
                    b.id,
                    axis,
                    order,
                    a.text,
                    b.text,
                    GROUPS[a.model],
                    GROUPS[b.model],
                )
                keyed.append(((a.image_id, a.question_id, a.id, b.id, axis, order), entry))
    for order in ORDERS:
        entry = (f"id of {order}", "gold_answered", "g/a", "g/b", GOLD.axis, order, "won", "lost", 0, 0)
        keyed.append((("i0", "q1", "g", "", GOLD.axis, order), entry))
    return [entry for _, entry in sorted(keyed, key=lambda pair: pair[0])]


@settings(deadline=None, max_examples=20)  # each example opens an engine
@given(st.lists(st.tuples(TEXT, TEXT), min_size=3, max_size=3), st.randoms())
def test_the_list_is_that_of_plain_python(texts, random):
    pairs = [
        tuple(
            response(f"{model}-{asked.id}", asked.id, model, image_id=asked.image_id, text=text)
            for model, text in zip(GROUPS, pair, strict=True)
        )
        for asked, pair in zip(QUESTIONS, texts, strict=True)
    ]
    responses = [row for pair in pairs for row in pair]
    random.shuffle(responses)
    tables = made_tables(questions=QUESTIONS, responses=responses)
    tables.view("groups", pa.table({"model": list(GROUPS), "safety_group": list(GROUPS.values())}))
    chosen = [{"question_id": a.question_id, "a": a.id, "b": b.id} for a, b in pairs]
    tables.view("pairs", pa.Table.from_pylist(chosen))
    tables.view("gold", gold_table(Askings({f"id of {order}": (GOLD, order) for order in ORDERS})))
    made = items(tables, tables._scratch, ASKER)
    rows = made.relation.order(", ".join(f'"{name}"' for name in made.order)).to_arrow_table().to_pylist()
    names = (
        "id",
        "table",
        "response_a",
        "response_b",
        "axis",
        "order",
        "text_a",
        "text_b",
        "group_a",
        "group_b",
    )
    assert [tuple(row[name] for name in names) for row in rows] == plain_list(pairs)
