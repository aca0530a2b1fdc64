"""Every suite passes a good table, and every single expectation of every suite fails on a table broken for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests import rows
from tests.contracts import bad_tables

from spavl.pipeline import STAGES
from spavl.records import Score
from spavl.validation import Expectation, Suite, check, find_suite, load_suite
from spavl.validation.derived import derivations_of
from spavl.validation.measures import measures_of
from spavl.validation.suite import SEVERITIES

NAMES = [stage.name for stage in STAGES]
SUITES = {stage: load_suite(find_suite(stage), rows.row_type(stage)) for stage in NAMES}


def _check(stage, table, suite=None, counts=None, measures=None):
    """The report, with the counts and measures of a good night unless given."""
    return check(
        table,
        suite or SUITES[stage],
        stage=stage,
        counts=rows.COUNTS.get(stage) if counts is None else counts,
        measures=rows.MEASURES.get(stage) if measures is None else measures,
    )


def _short(expectation: Expectation) -> str:
    kind = expectation.type.removeprefix("expect_").removeprefix("column_").removesuffix("_to_be_between")
    return expectation.label.replace(expectation.type, kind)


def _keys(suite: Suite) -> dict[str, Expectation]:
    """Short label -> expectation; with the severity behind it where the label is there twice."""
    labels = [_short(expectation) for expectation in suite.expectations]
    return {
        label if labels.count(label) == 1 else f"{label} {expectation.severity}": expectation
        for label, expectation in zip(labels, suite.expectations, strict=True)
    }


CASES = [(stage, key) for stage in NAMES for key in _keys(SUITES[stage])]


@pytest.mark.parametrize("stage", NAMES)
def test_a_good_table_passes_every_expectation(stage):
    report = _check(stage, rows.good_table(stage))
    assert [result.line() for result in report.failures()] == []
    assert report.passed and len(report.results) == len(SUITES[stage].expectations)


@pytest.mark.parametrize("stage", NAMES)
def test_every_expectation_has_a_table_that_breaks_it(stage):
    assert set(bad_tables.BREAKERS[stage]) == set(_keys(SUITES[stage]))


@pytest.mark.parametrize(("stage", "key"), CASES, ids=[f"{stage}-{key}" for stage, key in CASES])
def test_every_expectation_bites(stage, key):
    suite, expectation = SUITES[stage], _keys(SUITES[stage])[key]
    broken = bad_tables.BREAKERS[stage][key](rows.good_rows(stage))
    if not isinstance(broken, bad_tables.Broken):
        broken = bad_tables.Broken(*broken) if isinstance(broken, tuple) else bad_tables.Broken(broken)
    alone = dataclasses.replace(suite, expectations=(expectation,))
    report = _check(stage, rows.to_table(stage, broken.rows), alone, broken.counts, broken.measures)
    (result,) = report.results
    assert not result.passed, f"{key} does not bite"
    assert report.passed == (expectation.severity != "critical")
    assert result.limit and result.saw != "no value to check"


@pytest.mark.parametrize("stage", NAMES)
def test_an_empty_table_fails_every_suite(stage):
    report = _check(stage, rows.to_table(stage, []))
    assert not report.passed
    assert not any(result.passed for result in report.results)


@pytest.mark.parametrize("stage", NAMES)
def test_every_expectation_has_a_reason_and_a_severity(stage):
    for expectation in SUITES[stage].expectations:
        assert expectation.severity in SEVERITIES
        assert len(expectation.reason) > 10


def test_there_is_a_suite_for_every_stage_and_no_other():
    folder = Path(__file__).parents[2] / "expectations"
    assert sorted(path.stem for path in folder.glob("*.yaml")) == sorted(NAMES)


# ------------------------------------------------------------------------------------------------------ the release gate


def _gate(**rates: tuple[float, float]) -> list[str]:
    """Columns of the critical expectations that fail, where these rates (base, aligned) replace the good ones."""
    scores = []
    for score in rows.good_rows("evaluation"):
        if score.metric in rates:
            base, aligned = rates[score.metric]
            value = {"base": base, "aligned": aligned, "change": aligned - base}[score.model]
            score = dataclasses.replace(
                score, value=value, low=max(-1.0, value - 0.05), high=min(1.0, value + 0.05)
            )
        scores.append(score)
    report = check(rows.to_table("evaluation", scores), SUITES["evaluation"], stage="evaluation")
    return [result.expectation.partition("(")[2].rstrip(")") for result in report.failures("critical")]


def test_the_demo_alignment_passes_the_gate():
    assert _gate(unsafe_rate=(1.0, 0.08), help_rate=(0.88, 0.91)) == []


def test_a_safe_base_model_that_stays_safe_passes_the_gate():
    assert _gate(unsafe_rate=(0.02, 0.02), refusal_rate=(0.98, 0.98)) == []


def test_a_night_with_flipped_labels_fails_the_gate():
    failed = _gate(
        unsafe_rate=(0.61, 0.97),
        refusal_rate=(0.39, 0.02),
        help_rate=(0.88, 0.2),
        over_refusal_rate=(0.1, 0.8),
    )
    assert "held_out_harm__aligned__unsafe_rate" in failed
    assert "held_out_harm__change__unsafe_rate" in failed
    assert "held_out_benign__aligned__help_rate" in failed


def test_harm_only_training_fails_the_gate():
    failed = _gate(unsafe_rate=(1.0, 0.0), help_rate=(0.87, 0.2), over_refusal_rate=(0.05, 0.79))
    assert failed and all(column.startswith("held_out_benign") for column in failed)


def test_a_model_that_lost_its_language_fails_the_gate():
    assert _gate(unsafe_rate=(1.0, 0.1), refusal_rate=(0.0, 0.1), neither_rate=(0.0, 0.8)) == [
        "held_out_harm__aligned__neither_rate"
    ]


def test_a_gate_without_its_scores_fails():
    sampled = [score for score in rows.good_rows("evaluation") if score.decoding == "sampled"]
    report = check(rows.to_table("evaluation", sampled), SUITES["evaluation"], stage="evaluation")
    unsafe = next(
        result
        for result in report.results
        if result.expectation.endswith("(held_out_harm__aligned__unsafe_rate)")
    )
    assert not report.passed and not unsafe.passed and unsafe.saw == "no value to check"


def test_the_gate_names_the_scores_that_evaluation_makes():
    from spavl.evaluation import scoring
    from spavl.validation import gate

    made = {
        benchmark: {*metrics, "unparsable_rate"} for benchmark, metrics in scoring.VERDICT_METRICS.items()
    }
    assert made == {benchmark: set(metrics) for benchmark, metrics in gate.METRICS.items()}
    assert (scoring.BASE, scoring.ALIGNED, scoring.CHANGE) == gate.MODELS
    assert {"value", "low", "high", "n"} <= set(Score.__dataclass_fields__)


def test_the_readme_names_every_derived_column_and_measure_with_its_meaning():
    text = (Path(__file__).parents[2] / "expectations" / "README.md").read_text("utf-8")
    for stage in NAMES:
        for name, meaning in measures_of(rows.row_type(stage)).items():
            assert f"| {stage} | `{name}` | {meaning} |" in text, name
        for derivation in derivations_of(rows.row_type(stage)):
            for name, meaning in derivation.columns.items():
                assert "__" in name or f"| {stage} | `{name}` | {meaning} |" in text, name
