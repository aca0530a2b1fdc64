"""Which questions are asked, and that every reply, good or bad, becomes exactly one row that says where it came from."""

import dataclasses
import io

import pytest
from PIL import Image as Picture
from tests.stage_context import FakeContext, chunks_of, run_stage, work_rows

from spavl.artifacts.store import open_store
from spavl.config import Config
from spavl.errors import UserError
from spavl.questions import stage
from spavl.records import Image

REPLY = '{"question": "What does the sign say?"}'
FAKE = {"kind": "fake", "name": "writer", "replies": [REPLY]}


def png(shade):
    buffer = io.BytesIO()
    Picture.new("RGB", (16, 16), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


def image(store, number, class3="theft", question=None, kind=None):
    classes = ("benign",) * 3 if class3 == "benign" else ("malicious_use", "illegal_activities", class3)
    return Image(
        store.put_blob(png(number)),
        "drawn",
        f"{number}.png",
        *classes,
        "CC0-1.0",
        None,
        question,
        kind,
        16,
        16,
        9,
        "PNG",
        "0" * 16,
    )


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path / 'store'}")


def context(store, images, revisions=None, **questions):
    config = Config(profile="test", questions=questions)
    return FakeContext(config, store, "questions", {"images": images}, revisions=revisions or {})


def test_harm_image_gets_each_kind_and_benign_image_its_controls(store):
    images = [image(store, 1), image(store, 2, "benign")]
    sealed = run_stage(stage, context(store, images, generator=FAKE, num_benign_controls=2))
    assert [(row.image_id == images[0].id, row.kind, row.seed) for row in sealed.rows] == [
        (True, "easy_question", 0),
        (True, "hard_question", 0),
        (True, "hard_statement", 0),
        (False, "benign_control", 0),
        (False, "benign_control", 1),
    ]
    assert {row.text for row in sealed.rows} == {"What does the sign say?"}
    assert (sealed.counts["questions"], sealed.counts["outcome.ok"], sealed.counts["provided"]) == (5, 5, 0)


def test_row_says_who_wrote_it_and_from_what(store):
    (row,) = run_stage(stage, context(store, [image(store, 1)], generator=FAKE, kinds=["easy_question"])).rows
    assert (row.generator, row.generator_revision, row.raw_reply) == ("writer", "writer-rev", REPLY)
    assert (row.class1, row.class2, row.class3) == ("malicious_use", "illegal_activities", "theft")
    assert len(row.prompt_hash) == 32


def test_provided_question_is_taken_over_and_no_other_is_written(store):
    images = [image(store, 1, question="What is this?", kind="hard_statement")]
    (row,) = run_stage(stage, context(store, images, generator=FAKE)).rows
    assert (row.text, row.kind, row.generator, row.generator_revision) == (
        "What is this?",
        "hard_statement",
        "source",
        "drawn",
    )
    assert (row.outcome, row.raw_reply, row.prompt_hash) == ("ok", None, "provided")


def test_without_generator_images_without_question_are_counted(store):
    images = [image(store, 1, question="What is this?", kind="easy_question"), image(store, 2)]
    counts = run_stage(stage, context(store, images)).counts
    assert (counts["questions"], counts["provided"], counts["images_without_question"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("I will not write that.", "no JSON object in the reply"),
        ('{"question": ""}', "the question is empty"),
    ],
)
def test_unusable_reply_is_an_unparsable_row_that_keeps_the_reply(store, reply, error):
    ctx = context(store, [image(store, 1)], generator=FAKE | {"replies": [reply]}, kinds=["easy_question"])
    (row,) = run_stage(stage, ctx).rows
    assert (row.text, row.outcome, row.error, row.raw_reply) == ("", "unparsable", error, reply)


def test_too_long_question_is_unparsable(store):
    (row,) = run_stage(
        stage, context(store, [image(store, 1)], generator=FAKE, kinds=["easy_question"], max_chars=5)
    ).rows
    assert (row.text, row.outcome) == ("", "unparsable")


def test_failed_request_is_an_error_row(store):
    ctx = context(store, [image(store, n) for n in range(4)], generator=FAKE | {"error_share": 1.0})
    sealed = run_stage(stage, ctx)
    assert sealed.counts["outcome.error"] == 12
    assert all((row.text, row.raw_reply) == ("", None) and row.error for row in sealed.rows)


def test_every_item_has_one_row_whatever_fails(store):
    generator = FAKE | {"error_share": 0.3, "garbage_share": 0.3}
    ctx = context(store, [image(store, n) for n in range(20)], generator=generator)
    outcomes = {row.outcome for row in run_stage(stage, ctx, chunk_size=7).rows}
    assert outcomes == {"ok", "unparsable", "error"}


def test_interrupted_shard_gives_the_same_rows_as_an_undisturbed_one(store):
    ctx = context(store, [image(store, n) for n in range(6)], generator=FAKE | {"garbage_share": 0.5})
    items = stage.prepare(ctx)
    chunks = chunks_of(items, 5)
    whole = list(stage.work(ctx, "writer", iter(chunks)))
    parts = [*stage.work(ctx, "writer", iter(chunks[:1])), *stage.work(ctx, "writer", iter(chunks[1:]))]
    assert parts == whole


def test_two_groups_share_one_work_list(store):
    images = [image(store, 1, question="What is this?", kind="easy_question"), image(store, 2)]
    ctx = context(store, images, generator=FAKE)
    items = stage.prepare(ctx)
    assert {item.group for item in items} == {"source", "writer"}
    assert len(work_rows(stage, ctx, items)) == 4


def test_question_id_changes_with_what_decides_it_and_with_nothing_else(store):
    def ids(images, revisions=None, **questions):
        given = {"generator": FAKE, "kinds": ["easy_question"]} | questions
        return {item.id for item in stage.prepare(context(store, images, revisions, **given))}

    base = image(store, 1)
    before = ids([base])
    assert ids([base], num_shards=3, chunk_size=9) == before
    assert ids([dataclasses.replace(base, caption="x", source_key="elsewhere.png")]) == before
    assert not before & ids([image(store, 2)])
    assert not before & ids([dataclasses.replace(base, class3="financial_crimes")])
    assert not before & ids([base], {"writer": "another revision"})
    assert not before & ids([base], generator=FAKE | {"name": "author"})
    assert not before & ids([base], kinds=["hard_question"])
    assert not before & ids([base], sampling={"temperature": 0.5})
    assert not before & ids([base], sampling={"seed": 1})
    assert not before & ids([base], max_chars=100)


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ({"generator": FAKE, "kinds": ["riddle"]}, "questions.kinds has 'riddle'"),
        ({"generator": FAKE, "kinds": ["benign_control"]}, "'benign_control'"),
        ({"generator": FAKE, "kinds": ["easy_question", "easy_question"]}, "'easy_question' twice"),
        ({"generator": FAKE | {"name": "source"}}, "may not be named 'source'"),
        ({}, "there is no question to ask"),
    ],
)
def test_wrong_config_is_a_user_error(store, questions, message):
    with pytest.raises(UserError, match=message):
        stage.prepare(context(store, [image(store, 1)], **questions))


def test_requests_carry_the_image_the_seed_and_the_chunk(store):
    ctx = context(
        store, [image(store, 1, "benign")], generator=FAKE, num_benign_controls=3, sampling={"seed": 5}
    )
    images = {row.id: row for row in ctx.rows("images")}
    requests = list(stage._requests(ctx, images, iter(chunks_of(stage.prepare(ctx), 2)), {}))
    assert [request.facts["seed"] for request in requests] == ["5", "6", "7"]
    assert [request.sampling.seed for request in requests] == [5, 6, 7]
    assert [request.chunk for request in requests] == [0, 0, 1]
    assert {request.image for request in requests} == {png(1)}
    assert requests[0].facts == {
        "task": "question",
        "class3": "benign",
        "kind": "benign_control",
        "seed": "5",
    }


def test_the_seal_measures_floods_and_kinds_without_questions(store):
    images = [image(store, number) for number in range(30)] + [image(store, 40, "benign")]
    measures = run_stage(stage, context(store, images, generator=FAKE, kinds=["easy_question"])).measures
    assert (
        measures["commonest_question_share"] == measures["effective_questions"] == 1
    )  # the fake has one reply
    assert measures["num_kinds_without_questions"] == 2  # hard questions and hard statements
    assert measures["psi_kind"] is None and measures["num_missing_kinds"] is None  # a first night


def test_a_kind_that_may_be_missing_is_not_counted(store):
    ctx = context(store, [image(store, 1)], generator=FAKE)
    ctx.config = Config(
        profile="test", questions={"generator": FAKE}, dataset={"may_miss": ("benign_control",)}
    )
    assert run_stage(stage, ctx).measures["num_kinds_without_questions"] == 0
