import dataclasses
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_rows import png, question, response
from tests.stage_context import FakeAnswered, FakeContext, chunks_of, items_of, run_stage, work_rows

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.records import stable_hash
from spavl.stages.responses import stage
from spavl.stages.responses.asking import PROMPT_HASH, sampling_json, sampling_of
from spavl.stages.responses.rows import Response


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
    items = [item.payload for item in items_of(ctx, stage.prepare(ctx)) if item.group == "bold"]
    order = [(item["image_id"], item["question_id"]) for item in items]
    assert order == sorted(order) and len(order) == 4


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
    items = items_of(ctx, stage.prepare(ctx))
    whole = {row.id: row for row in work_rows(stage, ctx, items, chunk_size=2)}
    chunks = chunks_of([item for item in items if item.group == "bold"], 2)
    some = random.Random(0).sample(chunks, 3)
    resumed = list(stage.work(ctx, "bold", iter(some)))
    assert sorted(row.id for row in resumed) == sorted(item.id for chunk in some for item in chunk.items)
    assert all(whole[row.id] == row for row in resumed)


def asked_in_python(ctx):
    """(id, group, question, sample) of every item, in the order of the list."""
    config = ctx.section()
    usable = [question for question in ctx.rows("questions") if question.outcome == "ok"]
    return [
        (
            stable_hash(
                "response", one.id, one.text, one.image_id, model.name, ctx.revision(model.name), PROMPT_HASH,
                sampling_json(sampling_of(config.sampling, sample)), sample,
            ),
            model.name, one.id, sample,
        )
        for model in config.models
        for one in sorted(usable, key=lambda one: (one.image_id, one.id))
        for sample in range(config.num_samples_per_question)
    ]  # fmt: skip


@given(
    st.lists(
        st.builds(
            question, st.text(), st.text(), text=st.text(), outcome=st.sampled_from(["ok", "ok", "error"])
        ),
        max_size=5,
        unique_by=lambda one: one.id,
    ),
    st.integers(1, 3),
)
@settings(max_examples=12, deadline=None)
def test_ids_and_order_are_those_of_plain_python(tmp_path_factory, questions, num_samples):
    questions += [question("at least one", "an image", text='a \\ b\n\x01 "é"')]
    ctx = context(
        tmp_path_factory.mktemp("asked"),
        models=("zeta", "alpha", "midst"),
        questions=questions,
        num_samples_per_question=num_samples,
    )
    items = items_of(ctx, stage.prepare(ctx))
    made = [(item.id, item.group, item.payload["question_id"], item.payload["sample"]) for item in items]
    assert made == asked_in_python(ctx)
    by_id = {one.id: one for one in questions}
    for item in items:
        one = by_id[item.payload["question_id"]]
        assert (item.payload["text"], item.payload["image_id"]) == (one.text, one.image_id)


def test_samples_differ_by_seed_and_everything_asked_is_in_the_id(tmp_path):
    config = Config.model_validate({"profile": "test"}).responses.sampling
    first, second = sampling_of(config, 0), sampling_of(config, 1)
    assert first.seed != second.seed
    assert sampling_of(config, 0) == first

    def ids(one, **section):
        ctx = context(tmp_path, questions=[one], **section)
        return {item.id for item in items_of(ctx, stage.prepare(ctx))}

    plain = ids(question("q"))
    others = [
        ids(question("q", "other image")),
        ids(question("q", text="other text")),
        ids(question("q"), models=("new", "newer")),
        ids(question("q"), sampling={"temperature": 0.5}),
    ]
    assert len(set.union(plain, *others)) == 10
    assert len(ids(question("q"), num_samples_per_question=2) - plain) == 2


BLANKS = "".join(char for char in map(chr, range(0x3100)) if char.isspace())


@given(
    st.lists(
        st.builds(
            lambda number, model, text, outcome: response(
                "x", f"q{number}", model, text=text, outcome=outcome
            ),
            st.integers(0, 2),
            st.sampled_from(["bold", "timid"]),
            st.text(BLANKS + "\u200b.a\0", max_size=3),
            st.sampled_from(["ok", "ok", "error"]),
        ),
        max_size=8,
    )
)
@settings(max_examples=12, deadline=None)
def test_counts_and_details_are_those_of_plain_python(tmp_path_factory, rows):
    ctx = context(tmp_path_factory.mktemp("sealed"))
    rows = [dataclasses.replace(row, id=str(place)) for place, row in enumerate(rows)]
    sealed = stage.seal(ctx, FakeAnswered(ctx.tables, {"table": rows}, Response))
    assert sealed.rows is None
    assert sealed.counts == {
        "questions": len({row.question_id for row in rows}),
        "models": len({row.model for row in rows}),
        "responses": len(rows),
        "errors": sum(row.outcome == "error" for row in rows),
        "blank": sum(row.outcome == "ok" and not row.text.strip() for row in rows),
    }
    assert sealed.details["models"] == {
        name: {"revision": f"{name}-rev", **Counter(row.outcome for row in rows if row.model == name)}
        for name in sorted({row.model for row in rows})
    }


def test_work_reads_no_table(tmp_path):
    ctx = context(tmp_path)
    items = items_of(ctx, stage.prepare(ctx))
    ctx.rows_by_stage = {}
    del ctx.tables
    assert len(work_rows(stage, ctx, items)) == 8 and "tables" not in vars(ctx)


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
