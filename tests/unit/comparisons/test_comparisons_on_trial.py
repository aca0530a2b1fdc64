"""The judge of comparisons on trial: pairs whose winner is known, in both orders, among the ordinary ones."""

import dataclasses

import pytest
from tests.gold_night import night
from tests.made_rows import judgement, png, response
from tests.stage_context import FakeContext, chunks_of, items_of, run_stage

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.judging.measures import GOLD_PAIR_MEASURES
from spavl.judging.pair_trial import pair_measures
from spavl.stages.comparisons import stage
from spavl.stages.comparisons.rows import ComparisonTrial

NUM_ASKINGS = 2 * 20 * 2  # axes, pairs of each, orders


def context(tmp_path, judge=None, run_id="20260101-aaaaaaaaaa"):
    store = open_store(f"file://{tmp_path / 'store'}")
    images, questions = night(num_per_domain=6, num_benign=20)
    blobs = {row.id: store.put_blob(png(number)) for number, row in enumerate(images)}
    images = [dataclasses.replace(row, id=blobs[row.id]) for row in images]
    questions = [dataclasses.replace(row, image_id=blobs[row.image_id]) for row in questions]
    responses, judgements = [], []
    for model, text, is_unsafe in (
        ("bold", "sure, PLACEHOLDER.", True),
        ("timid", "sorry, not this.", False),
    ):
        for q in questions:
            responses.append(response(f"{model}-{q.id}", q.id, model, image_id=q.image_id, text=text))
            judgements.append(judgement(responses[-1].id, is_unsafe=is_unsafe, model=model, question_id=q.id))
    config = Config.model_validate(
        {
            "profile": "test",
            "judgements": {"gold": {"set": "demo", "num_pairs_per_axis": 20}},
            "comparisons": {"judge": {"kind": "demo_rules", "name": "judge", **(judge or {})}},
        }
    )
    rows = {"questions": questions, "responses": responses, "images": images, "judgements": judgements}
    return FakeContext(config, store, "comparisons", rows, run_id=run_id)


def listed(tmp_path, run_id="20260101-aaaaaaaaaa"):
    ctx = context(tmp_path, run_id=run_id)
    return items_of(ctx, stage.prepare(ctx))


def test_gold_pairs_are_in_the_side_table_and_not_in_the_table(tmp_path):
    sealed = run_stage(stage, context(tmp_path))
    assert len(sealed.side_tables["gold"]) == sealed.counts["gold"] == NUM_ASKINGS
    assert {row.model_a for row in sealed.rows} | {row.model_b for row in sealed.rows} == {"bold", "timid"}
    assert len(sealed.rows) == sealed.counts["askings"]


def test_the_demos_judge_names_every_known_winner_in_both_orders(tmp_path):
    sealed = run_stage(stage, context(tmp_path))
    # the demo did not draw these images, so a right answer has grade 1 there, and still beats a refusal
    assert sealed.measures["gold_accuracy"] == 1
    assert sealed.details["gold"]["by_order"] == {o: {"right": 40, "asked": 40} for o in ("ab", "ba")}


def test_a_judge_that_says_the_opposite_fails_on_both_axes(tmp_path):
    measures = run_stage(stage, context(tmp_path, judge={"flip_share": 1.0})).measures
    assert measures["gold_harmlessness_accuracy"] == measures["gold_helpfulness_accuracy"] == 0


def test_gold_askings_are_spread_over_the_chunks(tmp_path):
    chunks = chunks_of(listed(tmp_path), 64)
    gold = [sum(item.table == "gold_answered" for item in chunk.items) for chunk in chunks]
    assert sum(gold) == NUM_ASKINGS
    assert all(0 < number < len(chunk.items) for number, chunk in zip(gold, chunks, strict=True))


def test_gold_askings_are_new_every_night_and_ordinary_ones_are_not(tmp_path):
    tonight, later = (
        {item.id: item.table == "gold_answered" for item in listed(tmp_path, run_id)}
        for run_id in ("20260101-aaaaaaaaaa", "20260102-bbbbbbbbbb")
    )
    again = tonight.keys() & later.keys()
    assert len(again) == len(tonight) - NUM_ASKINGS and not any(tonight[id] for id in again)


def trial(n, winner, expected="a", axis="harmlessness", **more):
    values = {
        "id": f"t{n}", "gold_id": f"g{n}", "behaviour": "x_against_y", "language": "en", "class1": "d", "class3": "l",
        "question_id": "q", "image_id": f"i{n}", "axis": axis, "order": "ab", "judge": "j", "judge_revision": "1",
        "prompt_hash": "p", "outcome": "ok" if winner else "unparsable", "error": None,
    }  # fmt: skip
    return ComparisonTrial(**{**values, "expected_winner": expected, "winner": winner, **more})


def test_measures_by_hand():
    trials = [
        trial(0, "a"),
        trial(1, "tie"),
        trial(2, "b", class1="e"),
        trial(3, "b", expected="b", axis="helpfulness"),
        trial(4, None, axis="helpfulness", language="de"),
    ]
    found = pair_measures(trials, [trial(0, "a"), trial(1, "a")])
    assert set(found) == set(GOLD_PAIR_MEASURES)
    assert (found["gold_num_askings"], found["gold_accuracy"]) == (5, 2 / 5)
    assert found["gold_harmlessness_accuracy"] == pytest.approx(1 / 3)  # a tie names no winner
    assert found["gold_helpfulness_accuracy"] == 1 / 2
    assert (found["gold_worst_domain"], found["gold_worst_language"]) == (0, 0)
    assert found["gold_unparsable_share"] == 1 / 5
    assert (found["gold_drift"], found["gold_num_repeated"]) == (1 / 2, 2)
