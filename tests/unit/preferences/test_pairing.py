import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stage_context import run_stage
from tests.unit.preferences.by_hand import decide, preference
from tests.unit.preferences.made_nights import Label, Pair, context, night

from spavl.errors import UserError
from spavl.stages.preferences import pairing, stage

labels = st.none() | st.builds(Label, st.booleans(), st.booleans(), st.integers(0, 3))
pairs = st.builds(Pair, st.text("abt?xn", min_size=4, max_size=4), st.booleans(), labels, labels)


def expected(rows, **terms):
    """(decisions, kept rows) of all pairs of a night, in the order of the table."""
    questions, responses = ({row.id: row for row in rows[name]} for name in ("questions", "responses"))
    judged = {row.response_id: row for row in rows["judgements"] if row.mode == "image"}
    decisions, kept = [], []
    by_pair = {}
    for row in rows["comparisons"]:
        by_pair.setdefault((row.image_id, row.question_id, row.response_a, row.response_b), []).append(row)
    for key in sorted(by_pair):
        askings = sorted(by_pair[key], key=lambda row: (row.axis, row.order))
        question = questions[key[1]]
        decisions.append(decide(askings, judged, is_benign=question.kind == "benign_control", **terms))
        if decisions[-1].dropped is None:
            kept.append(preference(askings, decisions[-1], question, responses, judged))
    return decisions, kept


@settings(deadline=None, max_examples=15)  # the machine may be busy; a night has up to forty pairs
@given(
    made=st.lists(pairs, min_size=1, max_size=40),
    min_agreement=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    min_benign_helpfulness=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_every_row_and_count_is_that_of_the_pairs_decided_one_by_one(
    tmp_path_factory, made, min_agreement, min_benign_helpfulness, seed
):
    terms = {"min_agreement": min_agreement, "min_benign_helpfulness": min_benign_helpfulness}
    rows = night(made)
    decisions, kept = expected(rows, **terms)
    for table in rows.values():
        random.Random(seed).shuffle(table)
    sealed = run_stage(stage, context(tmp_path_factory.getbasetemp(), rows, **terms))
    assert sealed.rows == kept
    dropped = Counter(decision.dropped for decision in decisions if decision.dropped)
    assert {name: n for name, n in sealed.counts.items() if name.startswith("dropped_") and n} == {
        f"dropped_{reason}": n for reason, n in dropped.items()
    }
    verdicts = [verdict for decision in decisions for verdict in decision.verdicts.values()]
    decided = [verdict for verdict in verdicts if verdict.winner is not None]
    assert sealed.counts["pairs"] == len(made) == sealed.counts["kept"] + dropped.total()
    assert sealed.counts["undecided_axes"] == len(verdicts) - len(decided)
    assert sealed.counts["inconsistent_axes"] == sum(not verdict.is_consistent for verdict in decided)
    assert sealed.measures["num_pairs_unlike_their_responses"] == 0


def test_pairs_done_image_range_by_image_range_are_the_same_rows(tmp_path, monkeypatch):
    rows = night([Pair("aabb"), Pair("bbaa"), Pair("tttt"), Pair("ttaa")] * 7)
    whole = run_stage(stage, context(tmp_path, rows))
    monkeypatch.setattr(pairing, "PAIRS_AT_ONCE", 3)
    cut = context(tmp_path, rows)
    assert run_stage(stage, cut) == whole
    assert len(list(cut.scratch.glob("pairs-*.parquet"))) == 10  # of 28 pairs, 3 at once


@pytest.mark.parametrize(
    "broken",
    [
        lambda rows: rows["comparisons"].pop(),
        lambda rows: rows["comparisons"].append(replace(rows["comparisons"][0], id="fifth")),
    ],
)
def test_a_pair_that_lacks_an_asking_is_never_passed_over(tmp_path, broken):
    rows = night([Pair("aabb"), Pair("bbaa")])
    broken(rows)
    with pytest.raises(AssertionError, match="1 pairs"):
        run_stage(stage, context(tmp_path, rows))


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("questions", "4 rows of `comparisons` name in `question_id` what `questions` does not have"),
        ("responses", "4 rows of `comparisons` name in `response_b` what `responses` does not have"),
        ("images", "2 rows of `questions` name in `image_id` what `images` does not have"),
    ],
)
def test_rows_that_name_what_is_gone_are_refused(tmp_path, gone, words):
    rows = night([Pair("aabb"), Pair("bbaa")])
    rows[gone].pop()
    with pytest.raises(UserError, match=words):
        run_stage(stage, context(tmp_path, rows))
