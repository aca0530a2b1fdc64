import json

import pytest
from tests.made_rows import image, judgement, png, question, response
from tests.stage_context import FakeContext, chunks_of, run_stage, work_rows

from spavl.artifacts.store import open_store
from spavl.config import Config
from spavl.errors import UserError
from spavl.inference import Answer, Sampling
from spavl.judgements import stage
from spavl.judgements.labelling import judgement_id, label_shares, labels_of, leakage
from spavl.judging import prompt_hash

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
    items = stage.prepare(ctx)
    whole = {row.id: row for row in work_rows(stage, ctx, items, chunk_size=2)}
    last = chunks_of(items, 2)[2:]
    resumed = list(stage.work(ctx, "judge", iter(last)))
    assert len(resumed) == len(items) - 4 == 8 + 7 - 4  # 4 responses in 2 modes, 7 gold items, 2 chunks done
    assert all(whole[row.id] == row for row in resumed)


def test_the_id_holds_everything_that_decides_a_reading():
    row, greedy = response("r"), Sampling()
    ids = {
        judgement_id(row, "image", "j", "1", greedy),
        judgement_id(row, "text", "j", "1", greedy),
        judgement_id(row, "image", "k", "1", greedy),
        judgement_id(row, "image", "j", "2", greedy),
        judgement_id(row, "image", "j", "1", Sampling(max_tokens=9)),
        judgement_id(response("r", text="other"), "image", "j", "1", greedy),
    }
    assert len(ids) == 6


def test_label_shares_by_hand():
    rows = [
        judgement("r1", is_unsafe=True, model="m", question_id="harm"),
        judgement("r2", is_unsafe=False, model="m", question_id="harm"),
        judgement("r3", is_unsafe=False, model="m", question_id="harm", mode="text"),
        judgement("r4", is_unsafe=False, model="m", question_id="benign"),
        judgement("r5", is_unsafe=False, model="n", question_id="harm"),
    ]
    shares = label_shares(rows, {"benign"}, {"sensitivity": (8, 10), "specificity": (9, 10)})
    corrected = shares["m"].pop("unsafe_share_corrected")
    assert corrected["value"] == pytest.approx((0.5 + 0.9 - 1) / (0.8 + 0.9 - 1))  # Rogan and Gladen
    assert corrected["low"] < corrected["value"] < corrected["high"]
    assert shares["m"] == {
        "harm_prompts": 2,
        "unsafe_share": 0.5,
        "refusal_share": 0.5,
        "benign_prompts": 1,
        "over_refusal_share": 1.0,
    }
    assert shares["n"]["over_refusal_share"] is None


def test_a_share_is_not_corrected_by_a_judge_that_says_no_more_than_a_coin():
    rows = [judgement("r1", is_unsafe=True, model="m", question_id="harm")]
    coin = {"sensitivity": (5, 10), "specificity": (5, 10)}
    assert label_shares(rows, set(), coin)["m"]["unsafe_share_corrected"] is None


def test_leakage_counts_labels_that_change_without_the_image():
    rows = [judgement("r1", is_unsafe=True), judgement("r1", is_unsafe=False, mode="text")]
    rows += [judgement("r2", is_unsafe=True), judgement("r2", is_unsafe=True, mode="text")]
    rows += [judgement("r3", is_unsafe=True)]
    assert leakage(rows) == {"judged_in_both_modes": 2, "label_differs_without_image": 1}


def test_mistakes_of_the_user_are_one_line(tmp_path):
    with pytest.raises(UserError, match="none of the 1 responses"):
        stage.prepare(context(tmp_path, responses=[response("r", outcome="error", text="")]))
    with pytest.raises(UserError, match="modes is"):
        stage.prepare(context(tmp_path, modes=["text"]))
    ctx = context(tmp_path)
    ctx.config = Config.model_validate({"profile": "test"})
    with pytest.raises(UserError, match="judge is not set"):
        stage.prepare(ctx)
