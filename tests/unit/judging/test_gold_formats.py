"""A gold set goes to Label Studio's and Argilla's layouts and comes back the same; hand-written files in their published layouts are read."""

import json

import pytest

from spavl.errors import UserError
from spavl.judging.gold_formats import FORMATS, read_rows_of
from spavl.judging.gold_set import GoldRow, read_gold_set

ROWS = (
    GoldRow("r", "known_refusal", 'no, "never".', False, True, None, "de", "theft", "how?", "a.png"),
    GoldRow("u", "known_unsafe", "like\nthis", True, None, None, "en", "theft", "how?", ""),
    GoldRow("h", "helpful_benign", "a {caption}", False, False, True),
)


@pytest.mark.parametrize("format", FORMATS)
def test_a_set_comes_back_as_it_went(format):
    assert read_rows_of(format, FORMATS[format].write(ROWS), "file") == ROWS


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ["placeholder", "demo"])
def test_a_shipped_set_comes_back_as_it_went(format, name):
    rows = read_gold_set(name).rows
    assert read_rows_of(format, FORMATS[format].write(rows), "file") == rows


# ------------------------------------------------------------------------------------------------------- Label Studio


def said(name, *choices):
    value = {"choices": list(choices)}
    return {
        "value": value,
        "id": name,
        "from_name": name,
        "to_name": "response",
        "type": "choices",
        "origin": "manual",
    }


def annotation(*results, **more):
    values = {
        "id": 1001,
        "completed_by": 10,
        "was_cancelled": False,
        "ground_truth": False,
        "lead_time": 4.288,
    }
    return {**values, "result": list(results), "result_count": len(results), **more}


def task(*annotations, **data):
    texts = {"response": "like this", "behaviour": "known_unsafe", "question": "how?", "class3": "theft"}
    return {
        "id": 7, "created_at": "2021-03-09T21:52:49.513742Z", "project": 83, "data": {**texts, "uploader": "x", **data},
        "annotations": list(annotations), "predictions": [],
    }  # fmt: skip


UNSAFE = [said("is_unsafe", "yes"), said("is_refusal", "no"), said("helpful", "either")]


def read_tasks(*tasks):
    return read_rows_of("label-studio", json.dumps(tasks).encode(), "export.json")


def test_a_task_of_label_studio_is_read():
    (row,) = read_tasks(task(annotation(*UNSAFE)))
    assert row == GoldRow(
        "task-7", "known_unsafe", "like this", True, False, None, class3="theft", question="how?"
    )


def test_a_behaviour_that_people_chose_counts_over_the_datas():
    (row,) = read_tasks(task(annotation(*UNSAFE, said("behaviour", "refusal_then_complies"))))
    assert row.behaviour == "refusal_then_complies"


def test_people_who_agree_are_one_label_and_a_cancelled_annotation_is_none():
    other = annotation(said("is_unsafe", "no"), was_cancelled=True)
    assert read_tasks(task(annotation(*UNSAFE), annotation(*UNSAFE), other))[0].is_unsafe


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (
            [task(annotation(*UNSAFE), annotation(said("is_unsafe", "no")))],
            "two labels for is_unsafe: yes and no",
        ),
        ([task()], "no annotation of is_unsafe"),
        ([task(annotation(*UNSAFE, was_cancelled=True))], "no annotation of is_unsafe"),
        ([task(annotation(said("is_unsafe", "yes", "no")))], "2 choices for 'is_unsafe'"),
        ([{"id": 1, "is_unsafe": "yes"}], "has no 'data'"),
        ([task(annotation(*UNSAFE), class3="no_such_leaf")], "'no_such_leaf' is not a leaf id"),
        ([task(annotation(*UNSAFE), behaviour="known_refusal")], "known_refusal and says is_unsafe: yes"),
        ([1], "is not a JSON list of Label Studio tasks"),
    ],
)
def test_an_export_of_label_studio_that_says_no_label_is_one_line(tasks, message):
    with pytest.raises(UserError, match=message):
        read_tasks(*tasks)


# ------------------------------------------------------------------------------------------------------------- Argilla


def record(responses=None, suggestions=None, **metadata):
    return {
        "id": "u", "fields": {"question": "how?", "response": "like this"}, "suggestions": suggestions or {},
        "metadata": {"behaviour": "known_unsafe", "class3": "theft", **metadata}, "responses": responses or {},
        "vectors": {}, "_server_id": "6f2d9f2e-0000-0000-0000-000000000000",
    }  # fmt: skip


def by_people(*words):
    return [{"value": word, "user_id": f"user-{n}"} for n, word in enumerate(words)]


def read_records(*records):
    return read_rows_of("argilla", json.dumps(records).encode(), "records.json")


def test_a_record_of_argilla_is_read():
    (row,) = read_records(record({"is_unsafe": by_people("yes", "yes"), "is_refusal": by_people("either")}))
    assert row == GoldRow("u", "known_unsafe", "like this", True, None, None, class3="theft", question="how?")


def test_what_people_say_counts_over_what_the_set_said_before():
    before = {name: {"value": "no", "score": None, "agent": "spavl"} for name in ("is_unsafe", "is_refusal")}
    (row,) = read_records(record({"is_unsafe": by_people("yes")}, before))
    assert (row.is_unsafe, row.is_refusal) == (True, False)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record({"is_unsafe": by_people("yes", "no")})], "two labels for is_unsafe"),
        ([record()], "no response to is_unsafe"),
        (
            [record(suggestions={"is_unsafe": {"value": "yes", "score": 0.9, "agent": "gpt"}})],
            "no response to",
        ),
        ([{"id": "a", "is_unsafe": "yes"}], "has no 'fields'"),
        ({"is_unsafe": []}, "is not a JSON list of Argilla records"),
    ],
)
def test_records_of_argilla_that_say_no_label_are_one_line(records, message):
    with pytest.raises(UserError, match=message):
        read_rows_of("argilla", json.dumps(records).encode(), "records.json")


@pytest.mark.parametrize("format", ["label-studio", "argilla"])
def test_a_file_that_is_no_json_is_one_line(format):
    with pytest.raises(UserError, match="is not a JSON list"):
        read_rows_of(format, b"\xff{", "file")
