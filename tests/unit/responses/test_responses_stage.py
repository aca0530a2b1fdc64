import random

import pytest
from tests.made_rows import png, question
from tests.stage_context import FakeContext, chunks_of, run_stage, work_rows

from spavl.artifacts.store import open_store
from spavl.config import Config
from spavl.errors import UserError
from spavl.responses import stage
from spavl.responses.asking import PROMPT_HASH, response_id, sampling_of


def context(tmp_path, models=("bold", "timid"), questions=None, **section):
    store = open_store(f"file://{tmp_path / 'store'}")
    images = [store.put_blob(png(number)) for number in range(2)]
    if questions is None:
        questions = [question(f"q{n}", images[n % 2]) for n in range(4)] + [
            question("bad", images[0], outcome="error", text="")
        ]
    specs = [
        {"kind": "fake", "name": name, "replies": [f"{name} one", f"{name} two"], **section.pop(name, {})}
        for name in models
    ]
    config = Config.model_validate({"profile": "test", "responses": {"models": specs, **section}})
    return FakeContext(config, store, "responses", {"questions": questions, "images": []})


def test_every_model_answers_every_usable_question_once_per_sample(tmp_path):
    sealed = run_stage(stage, context(tmp_path, num_samples_per_question=2), chunk_size=3)
    asked = [(row.model, row.question_id, row.sample) for row in sealed.rows]
    assert sorted(asked) == [(m, f"q{q}", s) for m in ("bold", "timid") for q in range(4) for s in range(2)]
    assert sealed.counts == {"questions": 4, "models": 2, "responses": 16, "errors": 0, "blank": 0}
    assert {row.prompt_hash for row in sealed.rows} == {PROMPT_HASH}
    assert all(
        row.text.startswith(row.model) and row.model_revision == f"{row.model}-rev" for row in sealed.rows
    )


def test_items_of_one_model_are_sorted_by_image_then_question(tmp_path):
    ctx = context(tmp_path)
    images = {q.id: q.image_id for q in ctx.rows("questions")}
    items = [item for item in stage.prepare(ctx) if item.group == "bold"]
    order = [(images[item.payload["question"]], item.payload["question"]) for item in items]
    assert order == sorted(order)


def test_an_error_is_a_row_and_never_a_text(tmp_path):
    sealed = run_stage(stage, context(tmp_path, timid={"error_share": 1.0}))
    failed = [row for row in sealed.rows if row.model == "timid"]
    assert [(row.outcome, row.text, row.error) for row in failed] == [
        ("error", "", "the fake model was told to fail")
    ] * 4
    assert sealed.counts["errors"] == 4


def test_blank_answers_are_counted(tmp_path):
    assert run_stage(stage, context(tmp_path, timid={"replies": ["  "]})).counts["blank"] == 4


def test_a_model_with_one_answer_is_measured(tmp_path):
    measures = run_stage(stage, context(tmp_path, timid={"replies": ["no"]})).measures
    assert measures["commonest_answer_share_harm"] == 1 and measures["commonest_answer_share_benign"] is None
    assert measures["blank_share_of_model"] == 0 and measures["psi_model"] is None


def test_a_resumed_shard_gives_the_rows_of_an_undisturbed_one(tmp_path):
    ctx = context(tmp_path, num_samples_per_question=3)
    items = stage.prepare(ctx)
    whole = {row.id: row for row in work_rows(stage, ctx, items, chunk_size=2)}
    chunks = chunks_of([item for item in items if item.group == "bold"], 2)
    some = random.Random(0).sample(chunks, 3)
    resumed = list(stage.work(ctx, "bold", iter(some)))
    assert sorted(row.id for row in resumed) == sorted(item.id for chunk in some for item in chunk.items)
    assert all(whole[row.id] == row for row in resumed)


def test_samples_differ_by_seed_and_everything_asked_is_in_the_id():
    config = Config.model_validate({"profile": "test"}).responses.sampling
    first, second = sampling_of(config, 0), sampling_of(config, 1)
    assert first.seed != second.seed
    assert sampling_of(config, 0) == first
    plain = question("q")
    ids = {
        response_id(plain, "m", "1", first, 0),
        response_id(plain, "m", "1", second, 1),
        response_id(plain, "m", "2", first, 0),
        response_id(plain, "n", "1", first, 0),
        response_id(question("q", "other image"), "m", "1", first, 0),
        response_id(question("q", text="other text"), "m", "1", first, 0),
    }
    assert len(ids) == 6


def test_the_question_is_sent_as_it_is_with_the_images_bytes(tmp_path, monkeypatch):
    seen = []

    class Listening:
        def __enter__(self):
            return self

        def __exit__(self, *exc_info):
            return None

        def answer(self, requests):
            from spavl.inference import Answer

            for request in requests:
                seen.append(request)
                yield Answer(request.id, "ok", "ok")

    monkeypatch.setattr("spavl.inference.open_model", lambda spec, revision: Listening())
    ctx = context(tmp_path)
    image_id = ctx.store.put_blob(png(0))
    ctx.rows_by_stage = {"questions": [question("q", image_id, text="a {brace} and $money")]}
    run_stage(stage, ctx)
    assert {request.prompt for request in seen} == {"a {brace} and $money"}
    assert all(request.image == png(0) and request.image_id == image_id for request in seen)
    assert all(request.facts == {"task": "response"} and request.system is None for request in seen)


@pytest.mark.parametrize("models", [(), ("bold",)])
def test_fewer_than_two_models_is_the_users_mistake(tmp_path, models):
    with pytest.raises(UserError, match=f"names {len(models)} models"):
        stage.prepare(context(tmp_path, models=models))


def test_no_usable_question_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="none of the 1 questions"):
        stage.prepare(context(tmp_path, questions=[question("q", outcome="unparsable", text="")]))


def test_a_missing_image_is_named(tmp_path):
    ctx = context(tmp_path, questions=[question("q", "0" * 64)])
    with pytest.raises(UserError, match="blob 0000"):
        run_stage(stage, ctx)
