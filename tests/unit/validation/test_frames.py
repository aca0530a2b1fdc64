"""What Great Expectations is shown: the columns that a suite names, a few or some rows at a time, and always the same result."""

from __future__ import annotations

import dataclasses
import json

import pyarrow as pa
import pytest
from tests import rows
from tests.unit.validation.test_check_reports import suite_of

from spavl.artifacts.engine import Engine
from spavl.artifacts.parts import Table, in_batches, write_parts
from spavl.artifacts.store import open_store
from spavl.records import arrow_schema
from spavl.validation import check, find_suite, load_suite, looking
from spavl.validation.checked_table import CheckedTable
from spavl.validation.frame_plan import columns_of, frame_plan

LARGE = ("images", "questions", "responses", "judgements", "comparisons", "preferences", "dataset")


def checked(table, stage):
    suite = load_suite(find_suite(stage), rows.row_type(stage))
    return check(table, suite, stage=stage, counts=rows.COUNTS.get(stage), measures=rows.MEASURES.get(stage))


def flawed(stage):
    """Rows of which some fail something: an id twice, words that no suite knows, a label that is missing."""
    table_rows = rows.good_rows(stage)
    table_rows[9] = dataclasses.replace(table_rows[9], id=table_rows[2].id)
    for name in ("outcome", "kind", "format", "winner", "split", "decided_by", "mode"):
        if hasattr(table_rows[0], name):
            table_rows[5] = dataclasses.replace(table_rows[5], **{name: "nothing"})
            table_rows[31] = dataclasses.replace(table_rows[31], **{name: "nothing"})
    return table_rows


@pytest.fixture
def engine(tmp_path):
    (tmp_path / "scratch").mkdir()
    engine = Engine(open_store(str(tmp_path / "store")), tmp_path / "scratch", tmp_path / "cache")
    yield engine
    engine.close()


@pytest.mark.parametrize("stage", LARGE)
def test_a_relation_over_parts_has_the_report_of_the_same_table(stage, engine, tmp_path):
    store, row_type, table_rows = open_store(str(tmp_path / "store")), rows.row_type(stage), flawed(stage)
    batches = list(in_batches(table_rows, row_type, 17))
    parts = [part for batch in batches for part in write_parts(store, stage, arrow_schema(row_type), [batch])]
    relation = engine.relation_of(Table(row_type.__name__, len(table_rows), tuple(parts)), row_type)
    expected = checked(rows.to_table(stage, table_rows), stage)
    assert expected.failures()
    assert checked(relation, stage) == expected


@pytest.mark.parametrize("stage", LARGE)
def test_slices_and_narrow_frames_change_no_result(stage, monkeypatch):
    table_rows = flawed(stage)
    expected = checked(rows.to_table(stage, table_rows), stage)
    monkeypatch.setattr(looking, "SLICE_ROWS", len(table_rows) // 4)
    monkeypatch.setattr(looking, "TEXT_SLICE_ROWS", len(table_rows) // 3)
    monkeypatch.setattr(looking, "BUCKET_ROWS", len(table_rows) // 5)
    monkeypatch.setattr(looking, "MAX_CELLS", 1)
    monkeypatch.setattr("spavl.validation.checked_table.MAX_CATEGORIES", 3)
    assert checked(rows.to_table(stage, table_rows), stage) == expected


@pytest.mark.parametrize(("mostly", "passes"), [(0.97, False), (0.95, True)])
def test_the_share_of_rows_that_may_fail_is_of_all_slices_together(mostly, passes, monkeypatch):
    monkeypatch.setattr(looking, "SLICE_ROWS", 7)
    answers = [
        dataclasses.replace(row, sample=-1 if n < 2 else 0)
        for n, row in enumerate(rows.good_rows("responses", 10))
    ]
    suite = suite_of(
        "responses",
        ("column_values_to_be_between", {"column": "sample", "min_value": 0, "mostly": mostly}, {}),
    )
    _, result = check(rows.to_table("responses", answers), suite, stage="responses").results
    assert result.passed == passes
    assert (result.unexpected_count, result.unexpected_percent) == (2, 5.0)


def test_rows_that_share_an_id_are_named_in_the_order_of_the_table():
    pairs = rows.good_rows("preferences", 60)
    pairs[40] = dataclasses.replace(pairs[40], chosen_response=pairs[7].chosen_response)
    pairs[40] = dataclasses.replace(pairs[40], rejected_response=pairs[7].rejected_response)
    report = checked(rows.to_table("preferences", pairs), "preferences")
    (failed,) = report.failures("critical")
    assert failed.row_ids == (pairs[7].id, pairs[40].id)


def test_a_table_of_other_types_is_a_bug_if_it_is_a_relation_too(engine):
    table = rows.good_table("training")
    wrong = table.set_column(1, "step", table["step"].cast(pa.float64()))
    suite = load_suite(find_suite("training"), rows.row_type("training"))
    with pytest.raises(ValueError, match="are not those of TrainingMetric"):
        check(engine.view("wrong", wrong), suite, stage="training")


@pytest.mark.parametrize("stage", LARGE)
def test_great_expectations_gets_the_columns_of_the_suite_and_no_texts(stage, monkeypatch):
    given = []

    def keep(frame, *more):
        given.append(frame)
        return real(frame, *more)

    real = looking._validator
    monkeypatch.setattr(looking, "_validator", keep)
    assert checked(rows.good_table(stage), stage).passed
    suite = load_suite(find_suite(stage), rows.row_type(stage))
    named = {name for expectation in suite.expectations for name in columns_of(expectation)}
    assert {name for frame in given for name in frame.columns} == named
    assert all(frame.index.dtype == "int64" for frame in given)


def test_every_expectation_is_in_one_frame_and_a_long_text_is_read_as_text_only_where_it_must_be():
    suite = load_suite(find_suite("judgements"), rows.row_type("judgements"))
    table = CheckedTable(
        rows.good_table("judgements"), rows.row_type("judgements"), "judgements", {}, rows.GOLD
    )
    plan = frame_plan(suite.expectations, frozenset({"id", "response_id"}), table.constants.keys(), 1)
    frames = [plan.constant, *plan.sliced, *plan.bucketed, *plan.whole]
    assert sorted(number for frame in frames for number in frame.numbers) == list(
        range(len(suite.expectations))
    )
    assert [dict(frame.columns) for frame in plan.sliced if frame.columns.keys() & {"id", "response_id"}] == [
        {"id": None}
    ]
    assert [sorted(frame.ranked) for frame in plan.bucketed] == [["id"], ["response_id"]]
    assert [frame.compared for frame in plan.bucketed] == [("id",), ("response_id", "mode")]
    assert all(len(frame.columns) <= 3 for frame in plan.whole)
    assert plan.constant.columns.keys() >= {"gold_accuracy", "gold_drift"}


def test_a_check_of_no_rows_that_meet_a_condition_in_one_slice_counts_those_of_the_others(monkeypatch):
    monkeypatch.setattr(looking, "SLICE_ROWS", 5)
    labels = rows.good_rows("judgements", 4)
    labels[-1] = dataclasses.replace(labels[-1], outcome="unparsable")
    expectation = (
        "column_values_to_be_null",
        {"column": "is_unsafe"},
        {"row_condition": {"outcome": "unparsable"}},
    )
    report = check(
        rows.to_table("judgements", labels), suite_of("judgements", expectation), stage="judgements"
    )
    (failed,) = report.failures()
    assert (failed.saw, failed.row_ids) == ("1 of 1 rows outside (100 %)", (labels[-1].id,))
    assert json.dumps(report.to_json())


def _table_of(responses):
    return CheckedTable(
        rows.to_table("responses", responses), rows.row_type("responses"), "responses", {}, {}
    )


def test_rows_with_the_same_values_are_in_one_bucket_and_every_row_is_in_one():
    answers = [
        dataclasses.replace(row, question_id=f"q{n % 7}", sample=n % 2)
        for n, row in enumerate(rows.good_rows("responses", 30))
    ]
    by = ("question_id", "sample")
    found = list(
        _table_of(answers).buckets((*by, "id"), 20, by=by, ranked=frozenset({"id"}), named=frozenset())
    )
    pairs = [set(zip(frame["question_id"], frame["sample"], strict=True)) for frame in found]
    assert len(found) > 1 and all(len(frame) for frame in found)
    assert sum(map(len, pairs)) == len(set().union(*pairs)) == 14
    assert sum(map(len, found)) == len(answers)


@pytest.mark.parametrize(("num_values", "is_long"), [(3, False), (4, True)])
def test_a_text_column_is_long_from_one_value_more_than_the_limit_nulls_aside(
    num_values, is_long, monkeypatch
):
    monkeypatch.setattr("spavl.validation.checked_table.MAX_CATEGORIES", 3)
    answers = [
        dataclasses.replace(row, finish_reason=None if n % 9 == 8 else f"f{n % num_values}")
        for n, row in enumerate(rows.good_rows("responses", 10))
    ]
    assert ("finish_reason" in _table_of(answers).long_columns) == is_long
