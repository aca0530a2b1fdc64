import json

import pytest
from tests.made_rows import image, png, question, response
from tests.stage_context import FakeContext, chunks_of, items_of, run_stage, work_rows

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.inference import Answer
from spavl.judging import prompt_hash
from spavl.stages.judgements import stage
from spavl.stages.judgements.labelling import labels_of

SAFE = {"is_unsafe": False, "category": None, "severity": 0, "is_refusal": True, "helpfulness": 1}
UNSAFE = {"is_unsafe": True, "category": "insult", "severity": 2, "is_refusal": False, "helpfulness": 2}


def context(tmp_path, responses=None, judge=None, **section):
    store = open_store(f"file://{tmp_path / 'store'}")
    image_id = store.put_blob(png(0))
    if responses is None:
        responses = [response(f"r{n}", f"q{n % 2}", f"m{n // 2}", image_id=image_id) for n in range(4)]
        responses.append(response("failed", "q0", "m2", image_id=image_id, outcome="error", text=""))
    judge = {
        "kind": "fake",
        "name": "judge",
        "replies": [json.dumps(SAFE), json.dumps(UNSAFE)],
        **(judge or {}),
    }
    section = {"gold": {"set": "demo", "num_per_behaviour": 1}, **section}
    config = Config.model_validate({"profile": "test", "judgements": {"judge": judge, **section}})
    images = [image(image_id, caption="a drawing of a red circle")]
    questions = [question("q0", image_id), question("q1", image_id, kind="benign_control")]
    return FakeContext(
        config, store, "judgements", {"questions": questions, "responses": responses, "images": images}
    )


def test_every_answer_is_judged_once_per_mode_and_a_failed_one_never(tmp_path):
    sealed = run_stage(stage, context(tmp_path), chunk_size=3)
    judged = sorted((row.response_id, row.mode) for row in sealed.rows)
    assert judged == [(f"r{n}", mode) for n in range(4) for mode in ("image", "text")]
    assert all(
        row.outcome == "ok" and json.loads(row.raw_reply)["is_unsafe"] is row.is_unsafe for row in sealed.rows
    )
    assert all(row.prompt_hash == prompt_hash(row.mode) for row in sealed.rows)
    assert sealed.counts["judgements"] == 8
    assert sealed.details["judge_revision"] == "judge-rev"


def test_an_unparsable_reply_is_recorded_with_empty_labels(tmp_path):
    sealed = run_stage(stage, context(tmp_path, judge={"garbage_share": 1.0}))
    assert sealed.counts["unparsable"] == 8
    for row in sealed.rows:
        assert (row.outcome, row.is_unsafe, row.category, row.severity) == ("unparsable", None, None, None)
        assert (row.is_refusal, row.helpfulness) == (None, None)
        assert row.raw_reply and row.error


def test_a_judge_that_contradicts_itself_is_unparsable():
    contradicting = json.dumps({**SAFE, "severity": 3})
    assert labels_of(Answer("x", contradicting, "ok"))["outcome"] == "unparsable"


def test_a_missing_reply_is_an_error_row(tmp_path):
    sealed = run_stage(stage, context(tmp_path, judge={"error_share": 1.0}))
    assert sealed.counts["errors"] == 8
    assert {(row.outcome, row.raw_reply, row.is_unsafe) for row in sealed.rows} == {("error", None, None)}


def test_a_resumed_shard_gives_the_same_rows(tmp_path):
    ctx = context(tmp_path)
    items = items_of(ctx, stage.prepare(ctx))
    whole = {row.id: row for row in work_rows(stage, ctx, items, chunk_size=2)}
    last = chunks_of(items, 2)[2:]
    resumed = list(stage.work(ctx, "judge", iter(last)))
    assert len(resumed) == len(items) - 4 == 8 + 7 - 4  # 4 responses in 2 modes, 7 gold items, 2 chunks done
    assert all(whole[row.id] == row for row in resumed)


def test_work_opens_no_table_and_no_gold_file(tmp_path):
    ctx = context(tmp_path)
    items = items_of(ctx, stage.prepare(ctx))
    whole = work_rows(stage, ctx, items)
    alone = FakeContext(ctx.config, ctx.store, "judgements", {}, run_id="20260102-other")
    assert work_rows(stage, alone, items) == whole


def test_mistakes_of_the_user_are_one_line(tmp_path):
    with pytest.raises(UserError, match="none of the 1 responses"):
        stage.prepare(context(tmp_path, responses=[response("r", outcome="error", text="")]))
    with pytest.raises(UserError, match="modes is"):
        stage.prepare(context(tmp_path, modes=["text"]))
    ctx = context(tmp_path)
    ctx.config = Config.model_validate({"profile": "test"})
    with pytest.raises(UserError, match="judge is not set"):
        stage.prepare(ctx)


def test_an_answer_whose_question_is_gone_is_refused_and_not_passed_over(tmp_path):
    ctx = context(tmp_path)
    gone = ctx.rows_by_stage["questions"].pop()
    left = sorted(row.id for row in ctx.rows("responses") if row.question_id == gone.id)
    words = rf"{len(left)} rows of `responses` name in `question_id` what `questions` does not have \(first: row {left[0]}"
    with pytest.raises(UserError, match=words):
        stage.prepare(ctx)
