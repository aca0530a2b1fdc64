import dataclasses
import json

import pytest
from tests.made_rows import image, judgement, png, question, response
from tests.stage_context import FakeAnswered, FakeContext, chunks_of, items_of, run_stage, work_rows

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.stages.comparisons import stage
from spavl.stages.comparisons.rows import Comparison

MODELS = ("bold", "frank", "timid")
NUM_UNSAFE = {"bold": 3, "frank": 2, "timid": 0}  # of 4 harm prompts


def context(tmp_path, num_unsafe=None, judge=None, same_text=False, **section):
    """Four harm prompts and two benign ones, answered by three models."""
    store = open_store(f"file://{tmp_path / 'store'}")
    image_id = store.put_blob(png(0))
    kinds = ["easy_question"] * 4 + ["benign_control"] * 2
    questions = [question(f"q{n}", image_id, kind=kind) for n, kind in enumerate(kinds)]
    responses, judgements = [], []
    for model in MODELS:
        for number, asked in enumerate(questions):
            text = "the same" if same_text else f"{model} on {asked.id}"
            responses.append(response(f"{model}-{number}", asked.id, model, image_id=image_id, text=text))
            is_unsafe = number < (num_unsafe or NUM_UNSAFE)[model]
            judgements.append(
                judgement(f"{model}-{number}", is_unsafe=is_unsafe, model=model, question_id=asked.id)
            )
    replies = [json.dumps({"winner": word, "reason": "made"}) for word in ("first", "second", "tie")]
    judge = {"kind": "fake", "name": "judge", "replies": replies, **(judge or {})}
    gold = {"gold": {"set": "demo", "num_pairs_per_axis": 2}}
    config = Config.model_validate(
        {"profile": "test", "judgements": gold, "comparisons": {"judge": judge, **section}}
    )
    rows = {
        "images": [image(image_id, caption="a drawing of a red circle")],
        "questions": questions,
        "responses": responses,
        "judgements": judgements,
    }
    return FakeContext(config, store, "comparisons", rows)


def test_each_pair_is_asked_in_both_orders_on_both_axes(tmp_path):
    sealed = run_stage(stage, context(tmp_path), chunk_size=5)
    assert sealed.counts == {
        "pairs": 6,
        "askings": 24,
        "gold": 8,
        "unparsable": 0,
        "errors": 0,
        "identical_pairs": 0,
        "questions_without_pair": 0,
    }
    assert len({(row.question_id, row.axis, row.order) for row in sealed.rows}) == 24
    assert all(row.response_a < row.response_b and row.group_a != row.group_b for row in sealed.rows)
    said = {"first": 0, "second": 1}
    for row in sealed.rows:
        word = json.loads(row.raw_reply)["winner"]
        assert row.winner == ("tie" if word == "tie" else row.order[said[word]])


def test_safe_rates_and_groups_are_in_the_details(tmp_path):
    details = run_stage(stage, context(tmp_path)).details
    assert details["safe_rates"]["bold"] == {"safe_rate": 0.25, "num_safe": 1, "num_judged": 4, "group": 0}
    # ranks 0, 1, 2 of 3 models: rank * 5 // 3
    assert {model: entry["group"] for model, entry in details["safe_rates"].items()} == {
        "bold": 0,
        "frank": 1,
        "timid": 3,
    }
    assert sum(details["winner_shown"].values()) == 24
    assert details["judge_kind"] == "fake"


def answered(ctx):
    """Every item of the context's list answered: rows by table."""
    items = items_of(ctx, stage.prepare(ctx))
    table_of = {item.id: item.table for item in items}
    rows = {"table": [], "gold_answered": []}
    for row in work_rows(stage, ctx, items):
        rows[table_of[row.id]].append(row)
    return rows


def test_a_reused_row_carries_tonights_groups(tmp_path):
    rows = answered(context(tmp_path))
    # tonight bold and frank have changed places, so the groups of all their pairs have
    tonight = context(tmp_path, num_unsafe={"bold": 2, "frank": 3, "timid": 0})
    stage.prepare(tonight)
    groups = {"frank": 0, "bold": 1, "timid": 3}
    sealed = stage.seal(tonight, FakeAnswered(tonight.tables, rows, stage.PART)).rows
    found = {row.id: row for row in tonight.tables.rows(sealed, Comparison)}
    assert found == {
        row.id: dataclasses.replace(row, group_a=groups[row.model_a], group_b=groups[row.model_b])
        for row in rows["table"]
    }


def test_rows_that_have_tonights_groups_are_left_as_they_are(tmp_path):
    ctx = context(tmp_path)
    assert stage.seal(ctx, FakeAnswered(ctx.tables, answered(ctx), stage.PART)).rows is None


def test_work_opens_no_table_and_no_gold_file(tmp_path):
    ctx = context(tmp_path)
    items = items_of(ctx, stage.prepare(ctx))
    whole = work_rows(stage, ctx, items)
    alone = FakeContext(ctx.config, ctx.store, "comparisons", {}, run_id="20260102-other")
    assert work_rows(stage, alone, items) == whole


def test_a_resumed_shard_gives_the_same_rows(tmp_path):
    ctx = context(tmp_path)
    items = items_of(ctx, stage.prepare(ctx))
    whole = {row.id: row for row in work_rows(stage, ctx, items, chunk_size=7)}
    resumed = list(stage.work(ctx, "judge", iter(chunks_of(items, 7)[1:3])))
    assert len(resumed) == 14
    assert all(whole[row.id] == row for row in resumed)


def test_unparsable_replies_are_counted(tmp_path):
    sealed = run_stage(stage, context(tmp_path, judge={"garbage_share": 1.0}))
    assert sealed.counts["unparsable"] == 24
    assert {row.winner for row in sealed.rows} == {None}


def test_more_pairs_per_question_are_distinct(tmp_path):
    sealed = run_stage(stage, context(tmp_path, num_pairs_per_question=3))
    assert len({(row.response_a, row.response_b) for row in sealed.rows}) == 18


def test_models_of_one_safety_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"bold 0\.750 \(n=4\), frank 0\.750 \(n=4\), timid 0\.750 \(n=4\)"):
        stage.prepare(context(tmp_path, num_unsafe=dict.fromkeys(MODELS, 1)))


def test_answers_that_are_all_the_same_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="none of the 6 questions"):
        stage.prepare(context(tmp_path, same_text=True))


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("questions", "rows of `responses` name in `question_id` what `questions` does not have"),
        ("responses", "1 rows of `judgements` name in `response_id` what `responses` does not have"),
    ],
)
def test_rows_that_name_what_is_gone_are_refused(tmp_path, gone, words):
    ctx = context(tmp_path)
    ctx.rows_by_stage[gone].pop()
    with pytest.raises(UserError, match=words):
        stage.prepare(ctx)
