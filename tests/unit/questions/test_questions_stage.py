"""Which questions are asked, and that every reply, good or bad, becomes exactly one row that says where it came from."""

import dataclasses
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from tests.made_rows import image as made_image
from tests.stage_context import FakeContext, chunks_of, items_of, run_stage, work_rows

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.inference.fake import FakeBackend
from spavl.records import stable_hash
from spavl.stages.images.rows import Image
from spavl.stages.questions import stage
from spavl.stages.questions.prompt import render
from spavl.taxonomy import load_taxonomy

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
    items = items_of(ctx, stage.prepare(ctx))
    chunks = chunks_of(items, 5)
    whole = list(stage.work(ctx, "writer", iter(chunks)))
    parts = [*stage.work(ctx, "writer", iter(chunks[:1])), *stage.work(ctx, "writer", iter(chunks[1:]))]
    assert parts == whole


def test_two_groups_share_one_work_list(store):
    images = [image(store, 1, question="What is this?", kind="easy_question"), image(store, 2)]
    ctx = context(store, images, generator=FAKE)
    items = items_of(ctx, stage.prepare(ctx))
    assert {item.group for item in items} == {"source", "writer"}
    assert len(work_rows(stage, ctx, items)) == 4


def test_question_id_changes_with_what_decides_it_and_with_nothing_else(store):
    def ids(images, revisions=None, **questions):
        given = {"generator": FAKE, "kinds": ["easy_question"]} | questions
        ctx = context(store, images, revisions, **given)
        return {item.id for item in items_of(ctx, stage.prepare(ctx))}

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


def test_requests_carry_the_image_the_seed_and_the_chunk(store, monkeypatch):
    requests = []

    class Listening(FakeBackend):
        def answer(self, asked):
            requests.extend(asked)
            return iter(())

    monkeypatch.setattr("spavl.inference.open_model", lambda spec, revision: Listening(spec, revision))
    ctx = context(
        store, [image(store, 1, "benign")], generator=FAKE, num_benign_controls=3, sampling={"seed": 5}
    )
    items = items_of(ctx, stage.prepare(ctx))
    list(stage.work(ctx, "writer", iter(chunks_of(items, 2))))
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


def asked_in_python(ctx):
    """(id, group, image id, kind, number) of every item, in the order of the list."""
    config = ctx.section()
    generator, revision = config.generator, ctx.revision("writer")
    for one in sorted(ctx.rows("images"), key=lambda image: image.id):
        if one.provided_question is not None:
            parts = one.id, one.class3, one.provided_question_kind, "source", one.provided_question
            yield stable_hash("questions", *parts), "source", one.id, one.provided_question_kind, 1
            continue
        is_benign = one.class1 == "benign"
        kinds = ["benign_control"] * config.num_benign_controls if is_benign else config.kinds
        for place, kind in enumerate(kinds):
            number = place + 1 if is_benign else 1
            prompt = stable_hash(render(kind, one.class3, number, load_taxonomy()))
            parts = [one.id, one.class3, kind, number, generator.name, revision, prompt]
            parts += [config.sampling.model_dump(), config.sampling.seed + number - 1, config.max_chars]
            yield stable_hash("questions", *parts), "writer", one.id, kind, number


PICTURES = st.lists(
    st.builds(
        lambda id, key, leaf, provided: made_image(
            id,
            source_key=key,
            class1="benign" if leaf == "benign" else "malicious_use",
            class3=leaf,
            provided_question=provided and provided[0],
            provided_question_kind=provided and provided[1],
        ),
        st.text("abcé", min_size=1),
        st.text("zé\U0001f600", max_size=2),
        st.sampled_from(["benign", "theft", "financial_crimes"]),
        st.none() | st.tuples(st.text(), st.sampled_from(["easy_question", "benign_control"])),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.id,
)


@given(PICTURES, st.integers(0, 2))
@settings(max_examples=12, deadline=None)
def test_ids_and_order_are_those_of_plain_python(tmp_path_factory, pictures, num_controls):
    store = open_store(f"file://{tmp_path_factory.mktemp('store')}")
    pictures.append(made_image("last", class3="theft"))  # something to ask
    ctx = context(store, pictures, generator=FAKE, num_benign_controls=num_controls, sampling={"top_p": 0.5})
    items = items_of(ctx, stage.prepare(ctx))
    made = [
        (item.id, item.group, item.payload["image_id"], item.payload["kind"], item.payload["number"])
        for item in items
    ]
    assert made == list(asked_in_python(ctx))
    by_id = {one.id: one for one in pictures}
    for item in items:
        one = by_id[item.payload["image_id"]]
        said = one.provided_question, one.source, one.class1, one.class2, one.class3
        assert tuple(item.payload[n] for n in ("text", "source", "class1", "class2", "class3")) == said


def test_work_reads_no_table(store):
    images = [image(store, 1, question="What is this?", kind="easy_question"), image(store, 2)]
    ctx = context(store, images, generator=FAKE)
    items = items_of(ctx, stage.prepare(ctx))
    ctx.rows_by_stage = {}
    del ctx.tables
    assert len(work_rows(stage, ctx, items)) == 4 and "tables" not in vars(ctx)


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
