import functools
import itertools
from collections import namedtuple
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import askings

from spavl.artifacts.engine import Engine
from spavl.artifacts.store import open_store
from spavl.records import to_table
from spavl.sql import literal
from spavl.stages.comparisons.rows import Comparison
from spavl.stages.preferences.deciding import askings_sql, decisions_sql, verdicts_sql

Decision = namedtuple("Decision", "winner decided_by dropped margin agreement leaning")


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    made = Engine(open_store(f"file://{folder}"), folder, folder / "cache", num_threads=1)
    yield made
    made.close()


@pytest.fixture
def decide(engine):
    return functools.partial(decision_of, engine)


def decision_of(
    engine: Engine,
    rows: list[Comparison],
    *,
    is_harm_prompt: bool,
    is_unsafe: Mapping[str, bool],
    helpfulness: Mapping[str, int] | None = None,
    **terms: float,
) -> Decision:
    """The decision of one pair of the responses ra and rb; labels by response id, if there are any."""
    engine.view("comparisons", to_table(rows, Comparison))
    sides = {
        "chosen": "if(leaning = 'a', response_a, response_b)",
        "rejected": "if(leaning = 'a', response_b, response_a)",
    }
    labels = ", ".join(
        f"{label_of(side, labels)} AS {name}_{label}"
        for name, side in sides.items()
        for label, labels in (("is_unsafe", is_unsafe), ("helpfulness", helpfulness or {}))
    )
    sided = (
        f"SELECT *, {literal(not is_harm_prompt)} AS is_benign, {labels} FROM ({verdicts_sql(askings_sql())})"
    )
    decided = decisions_sql(sided, **terms)
    ((winner, *rest),) = engine.sql(f"""
        SELECT if(dropped IS NULL, leaning, NULL), decided_by, dropped, margin, agreement, leaning FROM ({decided})""").fetchall()
    return Decision(winner, *rest)


def label_of(side: str, labels: Mapping[str, bool | int]) -> str:
    cases = " ".join(f"WHEN '{id}' THEN {literal(label)}" for id, label in labels.items())
    return f"CASE {side} {cases} END" if cases else "NULL"


SAFE = {"ra": False, "rb": False}

# harmlessness ab, ba, helpfulness ab, ba -> winner, decided by, why dropped, margin, agreement;
# of 6 in the margin, since the two askings of the deciding axis count twice
TABLE = [
    ("aaaa", "a", "harmlessness", None, 1, 1.0),
    ("bbbb", "b", "harmlessness", None, 1, 1.0),
    ("aatt", "a", "harmlessness", None, 4 / 6, 1.0),
    ("aabb", "a", "harmlessness", None, 2 / 6, 1.0),
    ("bbaa", "b", "harmlessness", None, 2 / 6, 1.0),
    ("aaab", "a", "harmlessness", None, 4 / 6, 0.5),
    ("ttbb", "b", "helpfulness", None, 4 / 6, 1.0),
    ("abaa", "a", "helpfulness", None, 4 / 6, 0.5),
    ("taaa", "a", "helpfulness", None, 5 / 6, 0.5),
    ("tbaa", "a", "helpfulness", None, 3 / 6, 0.5),
    ("tttt", None, None, "tie", 0.0, 1.0),
    ("abba", None, None, "tie", 0.0, 0.0),
    ("ttab", None, None, "tie", 0.0, 0.5),
    ("ttta", None, None, "tie", 0.0, 0.5),
    ("a?aa", None, None, "unparsable", 0.0, 0.5),
    ("??bb", None, None, "unparsable", 0.0, 0.5),
    ("tta?", None, None, "unparsable", 0.0, 0.5),
    ("aa??", "a", "harmlessness", None, 4 / 6, 0.5),
    ("bba?", "b", "harmlessness", None, 3 / 6, 0.5),
]


@pytest.mark.parametrize(("words", "winner", "decided_by", "dropped", "margin", "agreement"), TABLE)
def test_the_table_of_decisions(decide, words, winner, decided_by, dropped, margin, agreement):
    decision = decide(askings(words), is_harm_prompt=True, is_unsafe=SAFE)
    assert (decision.winner, decision.decided_by, decision.dropped) == (winner, decided_by, dropped)
    assert (decision.margin, decision.agreement) == (margin, agreement)


@pytest.mark.parametrize(
    ("is_unsafe", "is_harm_prompt", "dropped"),
    [
        ({"ra": True, "rb": False}, True, "conflict"),
        ({"ra": True, "rb": False}, False, None),
        ({"ra": True, "rb": True}, True, "unsafe_choice"),
        ({"ra": False, "rb": True}, True, None),
        ({"ra": False}, True, "unlabelled"),
        ({}, True, "unlabelled"),
        ({}, False, None),
    ],
)
def test_helpfulness_never_chooses_an_unsafe_answer_on_a_harm_prompt(
    decide, is_unsafe, is_harm_prompt, dropped
):
    decision = decide(askings("ttaa"), is_harm_prompt=is_harm_prompt, is_unsafe=is_unsafe)
    assert decision.dropped == dropped
    assert decision.winner == (None if dropped else "a")


@pytest.mark.parametrize("is_harm_prompt", [True, False])
@pytest.mark.parametrize(
    ("is_unsafe", "dropped"),
    [
        ({"ra": True, "rb": False}, "conflict"),
        ({"ra": True, "rb": True}, None),
        ({"ra": False, "rb": True}, None),
        ({"ra": False, "rb": False}, None),
        ({"ra": True}, None),
        ({"rb": False}, None),
    ],
)
def test_harmlessness_never_chooses_an_answer_called_unsafe_over_one_called_safe(
    decide, is_unsafe, dropped, is_harm_prompt
):
    decision = decide(askings("aatt"), is_harm_prompt=is_harm_prompt, is_unsafe=is_unsafe)
    assert decision.dropped == dropped
    assert (decision.winner, decision.leaning) == (None if dropped else "a", "a")


def test_harmlessness_needs_no_label(decide):
    assert decide(askings("aatt"), is_harm_prompt=True, is_unsafe={}).winner == "a"


def test_low_agreement_is_dropped_only_where_it_is_asked_for(decide):
    rows = askings("aaab")
    assert decide(rows, is_harm_prompt=True, is_unsafe=SAFE, min_agreement=0.5).winner == "a"
    assert decide(rows, is_harm_prompt=True, is_unsafe=SAFE, min_agreement=0.6).dropped == "low_agreement"


def test_margin_of_a_decided_pair_is_at_least_a_third(decide):
    for words in map("".join, itertools.product("abt?", repeat=4)):
        decision = decide(askings(words), is_harm_prompt=False, is_unsafe=SAFE)
        assert decision.margin == 0.0 if decision.dropped else 1 / 3 <= decision.margin <= 1.0


@settings(deadline=None)  # the machine may be busy
@given(
    st.text("abt?", min_size=4, max_size=4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 0.5, 1]),
)
def test_swapping_a_and_b_everywhere_swaps_chosen_and_rejected(
    engine, words, is_harm, a_unsafe, b_unsafe, min_agreement
):
    swap = str.maketrans("ab", "ba")
    harm_ab, harm_ba, help_ab, help_ba = words.translate(swap)
    terms = {
        "is_harm_prompt": is_harm,
        "is_unsafe": {"ra": a_unsafe, "rb": b_unsafe},
        "min_agreement": min_agreement,
    }
    one = decision_of(engine, askings(words), **terms)
    # the response shown first is still shown first: what was the order ab is now called ba
    other = decision_of(engine, askings(harm_ba + harm_ab + help_ba + help_ab, a="rb", b="ra"), **terms)
    assert other.winner == {"a": "b", "b": "a", None: None}[one.winner]
    assert (other.dropped, other.decided_by) == (one.dropped, one.decided_by)
    assert (other.margin, other.agreement) == (one.margin, one.agreement)


@pytest.mark.parametrize(
    ("is_harm_prompt", "helpfulness", "dropped"),
    [
        (False, {"ra": 2, "rb": 0}, None),
        (False, {"ra": 1, "rb": 0}, "weak_choice"),
        (False, {"rb": 3}, "weak_choice"),
        (True, {"ra": 1, "rb": 0}, None),
    ],
)
def test_a_weak_chosen_answer_is_dropped_on_benign_prompts_only(decide, is_harm_prompt, helpfulness, dropped):
    terms = {"helpfulness": helpfulness, "min_benign_helpfulness": 2}
    decision = decide(askings("ttaa"), is_harm_prompt=is_harm_prompt, is_unsafe=SAFE, **terms)
    assert decision.dropped == dropped
