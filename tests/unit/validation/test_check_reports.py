"""What a check says: values, limits, row ids; what it never says: cells."""

from __future__ import annotations

import dataclasses
import json
import time

import pyarrow as pa
import pytest
from tests import rows

from spavl.errors import UserError
from spavl.validation import Report, build_data_docs, check, find_suite, load_suite
from spavl.validation.columns import CONTENT_COLUMNS

MARKER = "zqxmarkerzqx"


def suite_of(stage, *expectations):
    """The stage's row count and these expectations (type without "expect_", kwargs, more keys)."""
    lines = [f"name: {stage}", "description: a test", "expectations:"]
    items = [("table_row_count_to_be_between", {"min_value": 1}, {}), *expectations]
    for kind, kwargs, more in items:
        item = {
            "type": f"expect_{kind}",
            "kwargs": kwargs,
            "severity": "critical",
            "reason": "a test says so",
            **more,
        }
        lines.append(f"- {json.dumps(item)}")
    return load_suite("\n".join(lines), rows.row_type(stage))


def run(stage, table_rows, *expectations, **options):
    return check(rows.to_table(stage, table_rows), suite_of(stage, *expectations), stage=stage, **options)


def test_a_failure_is_one_line_with_value_limit_and_reason():
    pairs = [
        dataclasses.replace(row, is_benign=i < 18) for i, row in enumerate(rows.good_rows("preferences", 100))
    ]
    report = run(
        "preferences", pairs, ("column_mean_to_be_between", {"column": "is_benign", "min_value": 0.25}, {})
    )
    assert not report.passed
    assert (
        report.one_line()
        == "preferences: expect_column_mean_to_be_between(is_benign) saw 0.18, limit >= 0.25 (a test says so)"
    )
    assert report.failures()[0].observed == pytest.approx(0.18)


def test_results_are_in_the_order_of_the_suite():
    suite = load_suite(find_suite("comparisons"), rows.row_type("comparisons"))
    report = check(rows.good_table("comparisons"), suite, stage="comparisons")
    assert [result.expectation for result in report.results] == [
        expectation.label for expectation in suite.expectations
    ]
    assert [result.severity for result in report.results] == [
        expectation.severity for expectation in suite.expectations
    ]


def test_failing_rows_are_named_by_their_ids():
    answers = rows.good_rows("responses", 10)
    answers[3] = dataclasses.replace(answers[3], sample=-1)
    answers[7] = dataclasses.replace(answers[7], sample=-2)
    report = run(
        "responses", answers, ("column_values_to_be_between", {"column": "sample", "min_value": 0}, {})
    )
    (failed,) = report.failures()
    assert failed.row_ids == (answers[3].id, answers[7].id)
    assert (failed.unexpected_count, failed.unexpected_percent) == (2, 5.0)
    assert failed.saw == "2 of 40 rows outside (5 %)"


def test_at_most_twenty_rows_are_named():
    answers = [dataclasses.replace(row, sample=-1) for row in rows.good_rows("responses", 10)]
    report = run(
        "responses", answers, ("column_values_to_be_between", {"column": "sample", "min_value": 0}, {})
    )
    assert len(report.failures()[0].row_ids) == 20 and report.failures()[0].unexpected_count == 40


def test_missing_words_of_a_set_are_named():
    report = run("comparisons", [row for row in rows.good_rows("comparisons") if row.order == "ab"],
                 ("column_distinct_values_to_equal_set", {"column": "order", "value_set": ["ab", "ba"]}, {}))  # fmt: skip
    assert report.failures()[0].saw == "1 values, 0 others, missing: ba"


def test_a_warning_does_not_fail_the_report_but_is_said():
    report = run(
        "training",
        rows.good_rows("training"),
        ("column_max_to_be_between", {"column": "num_steps", "min_value": 99}, {"severity": "warning"}),
    )
    assert report.passed
    assert report.one_line().startswith(
        "training: warning: expect_column_max_to_be_between(num_steps) saw 20, limit >= 99"
    )


def test_an_expectation_that_saw_no_value_has_failed():
    seen = (
        "column_values_to_be_between",
        {"column": "severity", "min_value": 1},
        {"row_condition": {"outcome": "error"}},
    )
    report = run("judgements", rows.good_rows("judgements"), seen)
    assert not report.passed and report.failures()[0].saw == "no value to check"


def test_an_expectation_may_say_that_no_value_is_fine():
    seen = (
        "column_values_to_be_between",
        {"column": "severity", "min_value": 1},
        {"row_condition": {"outcome": "error"}, "allow_no_values": True},
    )
    assert run("judgements", rows.good_rows("judgements"), seen).passed


@pytest.mark.parametrize("kind", ["column_mean", "column_max", "column_sum"])
def test_a_statistic_of_nothing_has_failed(kind):
    questions = rows.good_rows("questions")
    report = run(
        "questions", questions, (f"{kind}_to_be_between", {"column": "error_chars", "max_value": 5}, {})
    )
    assert not report.passed


def test_row_conditions_and_flags_work_together():
    condition = {"row_condition": {"is_unsafe": True, "mode": "image"}}
    good = ("column_values_to_be_between", {"column": "severity", "min_value": 1}, condition)
    assert run("judgements", rows.good_rows("judgements"), good).passed
    bad = ("column_values_to_be_between", {"column": "severity", "max_value": 1}, condition)
    num_unsafe = sum(bool(row.is_unsafe) for row in rows.good_rows("judgements") if row.mode == "image")
    assert run("judgements", rows.good_rows("judgements"), bad).failures()[0].unexpected_count == num_unsafe


def test_an_expectation_that_cannot_be_evaluated_is_told_apart_from_bad_data():
    suite = suite_of("training", ("column_max_to_be_between", {"column": "num_steps", "min_value": 1}, {}))
    broken = dataclasses.replace(suite.expectations[1], kwargs={"column": "no_such_column", "min_value": 1})
    with pytest.raises(UserError, match="cannot be evaluated"):
        check(
            rows.good_table("training"),
            dataclasses.replace(suite, expectations=(suite.expectations[0], broken)),
            stage="training",
        )


def test_a_suite_of_another_stage_is_refused():
    with pytest.raises(UserError, match="says name: images"):
        check(rows.good_table("training"), suite_of("images"), stage="training")


def test_a_table_of_another_schema_is_a_bug():
    with pytest.raises(ValueError, match="are not those of Image"):
        check(rows.good_table("training"), suite_of("images"), stage="images")


def test_a_missing_count_is_a_bug_and_never_zero():
    with pytest.raises(KeyError, match="quarantined"):
        check(rows.good_table("images"), suite_of("images"), stage="images")


def test_a_report_survives_json():
    suite = load_suite(find_suite("release"), rows.row_type("release"))
    report = check(rows.good_table("release").slice(1), suite, stage="release")
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert not report.passed


def marked(stage: str) -> pa.Table:
    """The good table with a marker in every cell of content, and half of the rows made to fail something."""
    table = rows.good_table(stage)
    for number, field in enumerate(table.schema):
        if field.name in CONTENT_COLUMNS:
            table = table.set_column(
                number, field, pa.array([f"{MARKER} {i}" for i in range(table.num_rows)], field.type)
            )
        elif field.name in (
            "format",
            "outcome",
            "kind",
            "decided_by",
            "licence",
            "finish_reason",
            "split",
            "winner",
            "generator_revision",
        ):
            cells = [
                f"{MARKER}{i}" if i % 2 else cell for i, cell in enumerate(table[field.name].to_pylist())
            ]
            table = table.set_column(number, field, pa.array(cells, field.type))
    return table


@pytest.mark.parametrize(
    "stage", ["images", "questions", "responses", "judgements", "comparisons", "preferences", "dataset"]
)
def test_no_cell_text_is_in_report_or_data_docs(stage, tmp_path):
    suite = load_suite(find_suite(stage), rows.row_type(stage))
    report = check(marked(stage), suite, stage=stage, counts=rows.COUNTS.get(stage), data_docs=tmp_path)
    assert report.failures()
    assert MARKER not in json.dumps(report.to_json())
    pages = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(pages) >= 4
    for path in pages:
        assert MARKER.encode() not in path.read_bytes(), path


def test_data_docs_of_one_folder_show_every_stage_with_reasons_and_verdicts(tmp_path):
    for stage in ("training", "release"):
        suite = load_suite(find_suite(stage), rows.row_type(stage))
        check(rows.good_table(stage), suite, stage=stage, data_docs=tmp_path)
    index = build_data_docs(tmp_path).read_text("utf-8")
    pages = {path.stem: path.read_text("utf-8") for path in (tmp_path / "validations").rglob("*.html")}
    assert set(pages) == {"training", "release"}
    for stage, verdict in (("training", "passed"), ("release", "passed")):
        page = next((tmp_path / "validations" / stage).rglob("*.html")).relative_to(tmp_path)
        assert f'<a href="{page}">{stage}</a>: {verdict}' in index
    assert "a release has weights, in safetensors" in (tmp_path / "expectations" / "release.html").read_text(
        "utf-8"
    )


def test_data_docs_say_failed_where_no_value_was_seen(tmp_path):
    run(
        "questions",
        rows.good_rows("questions"),
        ("column_mean_to_be_between", {"column": "error_chars", "max_value": 5}, {}),
        data_docs=tmp_path,
    )
    result = json.loads((tmp_path / "results" / "questions.json").read_text("utf-8"))["validation"]
    assert (result["success"], result["statistics"]["unsuccessful_expectations"]) == (False, 1)
    assert "questions</a>: not all passed" in (tmp_path / "index.html").read_text("utf-8")


def test_a_hundred_thousand_rows_are_checked_in_seconds():
    suite = load_suite(find_suite("responses"), rows.row_type("responses"))
    table = rows.good_table("responses", 25_000)
    start = time.process_time()
    report = check(table, suite, stage="responses", measures=rows.MEASURES["responses"])
    assert report.passed and report.num_rows == 100_000
    assert time.process_time() - start < 10  # measured: 1.0 s


def test_importing_the_seam_and_loading_a_suite_import_no_great_expectations():
    import subprocess
    import sys

    code = (
        "import sys; from spavl.stages.evaluation.rows import Score; from spavl.validation import find_suite, load_suite; "
        "load_suite(find_suite('evaluation'), Score); "
        "sys.exit(any(name in sys.modules for name in ('great_expectations', 'pandas', 'pyarrow.parquet')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
