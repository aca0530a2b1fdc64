"""A suite's three verdicts, the measures that it may limit, and variants that replace single expectations."""

from __future__ import annotations

import json

import pytest
from tests import rows

from spavl.errors import UserError
from spavl.stages.images import measures as declared
from spavl.stages.images.rows import Image
from spavl.validation import check, find_suite, load_suite
from spavl.validation.report import Report
from spavl.validation.suite import join_variant

COUNT = {
    "type": "expect_table_row_count_to_be_between",
    "kwargs": {"min_value": 1},
    "severity": "critical",
    "reason": "an empty table passes most other checks",
}


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"low": "a lower end", "high": "an upper end", "low__needs": "prompts that would settle it"}
    monkeypatch.setattr(declared, "MEASURES", named)


def lower_end(limit: float, **more: object) -> dict[str, object]:
    return {
        "type": "expect_column_max_to_be_between",
        "kwargs": {"column": "low", "min_value": limit},
        "severity": "critical",
        "reason": "at most 5 points may be lost",
        **more,
    }


def report_on(measures: dict[str, float | None], *expectations: dict[str, object]) -> Report:
    text = json.dumps({"name": "images", "description": "d", "expectations": [COUNT, *expectations]})
    suite = load_suite(text, Image)
    return check(
        rows.good_table("images"), suite, stage="images", counts=rows.COUNTS["images"], measures=measures
    )


UNDECIDED = {"inconclusive_if": {"column": "high", "min_value": -0.05}}


def test_a_lower_end_above_the_limit_passes() -> None:
    report = report_on({"low": -0.04, "high": 0.02}, lower_end(-0.05, **UNDECIDED))
    assert (report.verdict, report.passed) == ("pass", True)


def test_an_interval_on_both_sides_of_the_limit_is_inconclusive_and_has_not_passed() -> None:
    report = report_on({"low": -0.08, "high": 0.02, "low__needs": 240}, lower_end(-0.05, **UNDECIDED))
    assert (report.verdict, report.passed) == ("inconclusive", False)
    assert report.one_line() == (
        "images: inconclusive: expect_column_max_to_be_between(low) saw -0.08, limit >= -0.05 "
        "(at most 5 points may be lost); needs about 240 more prompts"
    )


def test_an_interval_below_the_limit_fails() -> None:
    report = report_on({"low": -0.12, "high": -0.06}, lower_end(-0.05, **UNDECIDED))
    assert (report.verdict, report.passed) == ("fail", False)


def test_a_missing_second_value_never_softens_a_failure() -> None:
    report = report_on({"low": -0.12, "high": None}, lower_end(-0.05, **UNDECIDED))
    assert report.verdict == "fail"


def test_a_failure_outweighs_an_inconclusive_result_and_is_named_first() -> None:
    failing = lower_end(0.5) | {"type": "expect_column_min_to_be_between"}
    report = report_on({"low": -0.08, "high": 0.02}, lower_end(-0.05, **UNDECIDED), failing)
    assert report.verdict == "fail"
    assert report.failures()[0].status == "fail"
    assert "inconclusive" not in report.one_line()


def test_an_inconclusive_warning_stops_nothing() -> None:
    report = report_on({"low": -0.08, "high": 0.02}, lower_end(-0.05, **UNDECIDED) | {"severity": "warning"})
    assert (report.verdict, report.passed) == ("pass", True)


def test_a_report_survives_json_with_its_statuses() -> None:
    report = report_on({"low": -0.08, "high": 0.02}, lower_end(-0.05, **UNDECIDED))
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_a_measure_that_was_not_given_has_not_passed() -> None:
    assert not report_on({"high": 0.1}, lower_end(-0.05)).passed
    assert report_on({"high": 0.1}, lower_end(-0.05, allow_no_values=True)).passed


def test_a_measure_that_is_not_declared_is_a_bug() -> None:
    with pytest.raises(KeyError, match="`images` declares no measure lo"):
        report_on({"lo": 0.1}, lower_end(-0.05))


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"column": "high"}, "it has no limit"),
        ({"column": "hihg", "min_value": 0}, "there is no column 'hihg'"),
        ({"column": "format", "min_value": 0}, "it needs a column of kind number"),
        ({"column": "high", "min_value": "0"}, "min_value is '0', not a number"),
        (["high"], "it must be a mapping"),
    ],
)
def test_a_second_condition_is_read_strictly(second: object, words: str) -> None:
    with pytest.raises(UserError, match=words):
        report_on({"low": 0.1}, lower_end(-0.05, inconclusive_if=second))


def variant_of(*replaces: dict[str, object], **head: object) -> str:
    suite = json.dumps({"name": "images", "description": "d", "expectations": [COUNT, lower_end(-0.05)]})
    root = {"name": "images", "extends": "images", "replaces": list(replaces), **head}
    return join_variant(suite, json.dumps(root))


def test_a_variant_replaces_the_expectation_with_the_same_label() -> None:
    softer = lower_end(-0.2) | {"severity": "warning", "reason": "this world is too small"}
    suite = load_suite(variant_of(softer), Image)
    assert [one.severity for one in suite.expectations] == ["critical", "warning"]
    assert suite.expectations[1].kwargs["min_value"] == -0.2
    assert suite.sha256 != load_suite(variant_of(), Image).sha256


def test_a_variant_that_replaces_nothing_is_refused() -> None:
    other = lower_end(0) | {"kwargs": {"column": "high", "min_value": 0}}
    with pytest.raises(UserError, match=r"images\.yaml has no expect_column_max_to_be_between\(high\)"):
        load_suite(variant_of(other), Image)


def test_a_variant_of_another_stage_is_refused() -> None:
    with pytest.raises(UserError, match="has name 'questions'"):
        load_suite(variant_of(name="questions"), Image)


def test_a_variants_folder_is_looked_for_and_a_missing_one_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SPAVL_EXPECTATIONS", str(tmp_path))
    (tmp_path / "images.yaml").write_text("a: 1\n")
    (tmp_path / "demo").mkdir()
    assert find_suite("images", "demo") == "a: 1\n"
    (tmp_path / "demo" / "images.yaml").write_text("b: 2\n")
    assert find_suite("images", "demo") == join_variant("a: 1\n", "b: 2\n")
    with pytest.raises(UserError, match="expectations: demoo"):
        find_suite("images", "demoo")
