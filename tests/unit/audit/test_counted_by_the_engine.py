"""What the engine counts equals, to the digit, what plain Python counts over row objects."""

import dataclasses

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.made_rows import image, question, response
from tests.unit.audit import plain_measures

from spavl.artifacts.engine import Engine
from spavl.artifacts.store import open_store
from spavl.audit.floods import normalised
from spavl.audit.image_table import image_measures
from spavl.audit.question_table import question_measures
from spavl.audit.response_table import response_measures
from spavl.audit.texts import Texts, normalised_texts, texts_by
from spavl.config.root import Config
from spavl.records import to_table
from spavl.stages.images.rows import Image
from spavl.stages.questions.rows import Question
from spavl.stages.responses.rows import Response

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.sampled_from(
    ["Sorry", "sorry!", " sorry,", "A cat.", "", "  ", "É", "é", "K elvin", "İ", "a_b", "\0"]
)
TEXTS = st.lists(WORDS, max_size=3).map(" ".join)
CLASSES = st.sampled_from([("benign", "benign"), ("fraud", "scams"), ("fraud", "phishing"), ("hate", "slur")])
KINDS = st.sampled_from(["easy_question", "hard_question", "benign_control"])


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    engine = Engine(open_store(f"file://{folder / 'store'}"), folder, folder / "cache")
    yield engine
    engine.close()


def view(tables, name, rows, row_type):
    """The name of the view with these rows, None if there are none to have."""
    if rows is None:
        return None
    tables.view(name, to_table(rows, row_type))
    return name


def many(row):
    """Rows with ids of their own, some many times over so that slices pass their smallest size; or no table."""
    drawn = st.lists(st.tuples(row, st.sampled_from([1, 2, 25])), max_size=6)
    return drawn.map(lambda pairs: [one for one, number in pairs for _ in range(number)]).map(
        lambda rows: [dataclasses.replace(one, id=f"{place:04x}") for place, one in enumerate(rows)]
    )


@given(st.lists(st.text() | TEXTS, max_size=9), st.integers(0, 3))
@FEW
def test_texts_are_normalised_as_one_by_one(texts, start):
    column = pa.array(texts, pa.string())[start:]
    assert normalised_texts(column).to_pylist() == [normalised(text) for text in texts[start:]]
    chunked = pa.chunked_array([column, column])
    assert normalised_texts(chunked).to_pylist() == [normalised(text) for text in texts[start:] * 2]


def test_texts_are_counted_group_by_group(tables):
    tables.view("said", pa.table({"model": ["m", "m", "m", "n"], "text": ["A cat", "a cat!", "...", "x"]}))
    found = texts_by(tables, "SELECT model, text FROM said", ("model",))
    assert found == {("m",): Texts(3, 2, 5, 1), ("n",): Texts(1, 1, 1, 0)}
    assert found["m",].commonest_share == 2 / 3 and found["m",].effective_number == 9 / 5


IMAGES = many(
    st.builds(
        lambda classes, source, bits: image(
            "x", source=source, class1=classes[0], class3=classes[1], perceptual_hash=f"{bits:016x}"
        ),
        CLASSES,
        st.sampled_from(["one", "two"]),
        st.integers(0, 2**64 - 1) | st.integers(0, 7),
    )
)


@given(IMAGES, st.none() | IMAGES, st.sampled_from([(), ("scams",), ("two", "fraud")]))
@FEW
def test_measures_of_images_are_those_of_plain_python(tables, rows, former, may_miss):
    config = Config(profile="test", dataset={"may_miss": may_miss}).dataset
    counted = image_measures(
        tables, view(tables, "images", rows, Image), view(tables, "former_images", former, Image), config
    )
    assert counted == plain_measures.image_measures(rows, former, config)


QUESTIONS = many(
    st.builds(
        lambda classes, kind, text, outcome, generator, image_id: question(
            "x", image_id, class1=classes[0], class3=classes[1], kind=kind, text=text, outcome=outcome, generator=generator
        ),
        CLASSES,
        KINDS,
        TEXTS,
        st.sampled_from(["ok", "ok", "unparsable", "error"]),
        st.sampled_from(["source", "writer"]),
        st.sampled_from(["i0", "i1", "i2"]),
    )
)  # fmt: skip


@given(QUESTIONS, st.none() | QUESTIONS, st.sampled_from([(), ("benign_control", "scams")]))
@FEW
def test_measures_of_questions_are_those_of_plain_python(tables, rows, former, may_miss):
    names = view(tables, "asked", rows, Question), view(tables, "former_asked", former, Question)
    expected = plain_measures.question_measures(rows, former, may_miss)
    assert question_measures(tables, *names, may_miss) == expected


NUM_QUESTIONS = 4
ASKED = st.tuples(*[st.tuples(CLASSES, KINDS)] * NUM_QUESTIONS).map(
    lambda drawn: [
        question(f"q{place}", class1=classes[0], class3=classes[1], kind=kind)
        for place, (classes, kind) in enumerate(drawn)
    ]
)
RESPONSES = many(
    st.builds(
        lambda number, model, text, outcome: response("x", f"q{number}", model, text=text, outcome=outcome),
        st.integers(0, NUM_QUESTIONS - 1),
        st.sampled_from(["bold", "timid", "new"]),
        TEXTS,
        st.sampled_from(["ok", "ok", "ok", "error"]),
    )
)


@given(RESPONSES, ASKED, st.none() | st.tuples(RESPONSES, ASKED))
@FEW
def test_measures_of_responses_are_those_of_plain_python(tables, rows, questions, former):
    former_rows, former_questions = former or (None, None)
    counted = response_measures(
        tables,
        view(tables, "answers", rows, Response),
        view(tables, "asked", questions, Question),
        view(tables, "former_answers", former_rows, Response),
        view(tables, "former_asked", former_questions, Question),
    )
    expected = plain_measures.response_measures(rows, questions, former_rows, former_questions)
    assert counted == expected
