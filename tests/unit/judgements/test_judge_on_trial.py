"""The stage puts its judge on trial: gold items among the ordinary ones, out of the table, in a side table and in measures."""

import dataclasses

import pytest
from tests.gold_night import night
from tests.made_rows import png, response
from tests.stage_context import FakeContext, chunks_of, former_record, items_of, run_stage

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.stages.judgements import stage
from spavl.stages.judgements.rows import GoldItem, JudgeTrial

NUM_ITEMS = 7 * 14  # behaviours, items of each


def context(tmp_path, run_id="20260101-aaaaaaaaaa", previous=None, judge=None, **gold):
    """About 250 responses to a night's questions, judged by the demo's rules."""
    store = open_store(f"file://{tmp_path / 'store'}")
    images, questions = night(num_per_domain=10, num_benign=30)
    blobs = {row.id: store.put_blob(png(number)) for number, row in enumerate(images)}
    images = [dataclasses.replace(row, id=blobs[row.id]) for row in images]
    questions = [dataclasses.replace(row, image_id=blobs[row.image_id]) for row in questions]
    responses = [response(f"r-{q.id}", q.id, image_id=q.image_id, text="sorry, not this.") for q in questions]
    judge = {"kind": "demo_rules", "name": "judge", **(judge or {})}
    gold = {"set": "demo", "num_per_behaviour": 14, **gold}
    config = Config.model_validate({"profile": "test", "judgements": {"judge": judge, "gold": gold}})
    rows = {"questions": questions, "responses": responses, "images": images}
    return FakeContext(config, store, "judgements", rows, run_id=run_id, previous_by_stage=previous or {})


def listed(tmp_path, run_id):
    ctx = context(tmp_path, run_id=run_id)
    return items_of(ctx, stage.prepare(ctx))


def test_gold_items_are_in_the_side_table_and_not_in_the_table(tmp_path):
    ctx = context(tmp_path)
    sealed = run_stage(stage, ctx)
    trials = sealed.side_tables["gold"]
    assert len(trials) == sealed.counts["gold"] == NUM_ITEMS
    assert all(type(row) is JudgeTrial for row in trials)
    assert {row.response_id for row in sealed.rows} == {row.id for row in ctx.rows("responses")}
    assert len(sealed.rows) == sealed.counts["judgements"] == 2 * len(ctx.rows("responses"))
    assert {row.id for row in trials}.isdisjoint(row.id for row in sealed.rows)


def test_the_demos_judge_passes_its_trial(tmp_path):
    # the made images are not drawn by the demo, so the rules cannot check what they show: help stays at grade 1
    measures = run_stage(stage, context(tmp_path)).measures
    assert measures["gold_sensitivity"] == measures["gold_specificity"] == 1
    assert measures["gold_refusal_accuracy"] == 1 and measures["gold_unparsable_share"] == 0
    assert measures["gold_num_items"] == NUM_ITEMS


def test_details_say_the_set_and_what_was_right_where(tmp_path):
    details = run_stage(stage, context(tmp_path)).details["gold"]
    assert details["set"] == "demo" and len(details["set_sha256"]) == 64
    assert details["by_behaviour"]["speaks_to_judge"] == {"right": 14, "asked": 14}
    assert set(details["by_domain"]) == {row.class1 for row in night()[0]}


def test_no_chunk_is_of_gold_items_alone_and_none_holds_them_all(tmp_path):
    ctx = context(tmp_path)
    items = items_of(ctx, stage.prepare(ctx))
    chunks = chunks_of([item for item in items if item.payload["mode"] == "image"], 32)
    gold = [sum(item.table == "gold_answered" for item in chunk.items) for chunk in chunks]
    assert sum(gold) == NUM_ITEMS
    assert all(0 < number < len(chunk.items) for number, chunk in zip(gold, chunks, strict=True))


def test_an_id_of_a_gold_item_looks_like_any_other_and_changes_every_night(tmp_path):
    tonight, later = (
        {item.id: item.table == "gold_answered" for item in listed(tmp_path, run_id)}
        for run_id in ("20260101-aaaaaaaaaa", "20260102-bbbbbbbbbb")
    )
    assert {len(id) for id in tonight} == {32}
    again = tonight.keys() & later.keys()
    assert len(again) == len(tonight) - NUM_ITEMS and not any(tonight[id] for id in again)


def test_a_judge_that_flips_fails_its_trial(tmp_path):
    measures = run_stage(stage, context(tmp_path, judge={"flip_share": 1.0})).measures
    assert measures["gold_sensitivity"] == measures["gold_specificity"] == measures["gold_accuracy"] == 0


def test_a_judge_that_mumbles_is_silent_about_known_answers_too(tmp_path):
    measures = run_stage(stage, context(tmp_path, judge={"garbage_share": 1.0})).measures
    assert measures["gold_unparsable_share"] == 1 and measures["gold_sensitivity"] == 0


def test_text_mode_is_tried_if_the_profile_asks_for_it(tmp_path):
    sealed = run_stage(stage, context(tmp_path, modes=["image", "text"]))
    assert len(sealed.side_tables["gold"]) == 2 * NUM_ITEMS
    assert sealed.measures["gold_num_items"] == NUM_ITEMS
    assert sealed.measures["gold_text_accuracy"] == 1


def former_night(tmp_path, trials):
    """A record of last night whose side table lies in the store, as the runner leaves it."""
    store = open_store(f"file://{tmp_path / 'store'}")
    return {"judgements": former_record(store, "judgements", {"gold": trials})}


def test_a_judge_that_answers_as_last_night_has_not_drifted(tmp_path):
    last = run_stage(stage, context(tmp_path, run_id="20251231-cccccccccc")).side_tables["gold"]
    measures = run_stage(stage, context(tmp_path, previous=former_night(tmp_path, last))).measures
    assert (measures["gold_drift"], measures["gold_num_repeated"]) == (0, NUM_ITEMS)


def test_an_endpoint_that_became_another_model_has_drifted(tmp_path):
    last = run_stage(stage, context(tmp_path, run_id="20251231-cccccccccc")).side_tables["gold"]
    ctx = context(tmp_path, previous=former_night(tmp_path, last), judge={"flip_share": 1.0})
    assert run_stage(stage, ctx).measures["gold_drift"] == 1  # the fake context pins the same revision


def test_a_former_trial_with_other_columns_is_none(tmp_path):
    record = former_night(tmp_path, [GoldItem(*"abcdefghij", True, None, None)])
    measures = run_stage(stage, context(tmp_path, previous=record)).measures
    assert (measures["gold_drift"], measures["gold_num_repeated"]) == (None, 0)


def test_on_a_first_night_there_is_no_drift(tmp_path):
    measures = run_stage(stage, context(tmp_path)).measures
    assert (measures["gold_drift"], measures["gold_num_repeated"]) == (None, 0)


def test_a_set_that_cannot_be_read_stops_the_stage_before_anything_is_asked(tmp_path):
    with pytest.raises(UserError, match="is not there"):
        stage.prepare(context(tmp_path, set=str(tmp_path / "missing.csv")))
