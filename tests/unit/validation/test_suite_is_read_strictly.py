"""What a suite says and spavl does not understand is refused, with the place and what was probably meant."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import UserError
from spavl.stages.preferences.rows import Preference
from spavl.validation import find_suite, load_suite
from spavl.validation.catalogue import EXPECTATION_TYPES

ROW_COUNT = {
    "type": "expect_table_row_count_to_be_between",
    "kwargs": {"min_value": 1},
    "severity": "critical",
    "reason": "one row",
}
MEAN = {
    "type": "expect_column_mean_to_be_between",
    "kwargs": {"column": "margin", "min_value": 0.2},
    "severity": "warning",
    "reason": "it must teach something",
}


def suite_text(*expectations: dict, **head: object) -> str:
    return yaml.safe_dump(
        {"name": "preferences", "description": "Pairs.", "expectations": [ROW_COUNT, *expectations], **head},
        sort_keys=False,
    )


def refusal(*expectations: dict, **head: object) -> str:
    with pytest.raises(UserError) as error:
        load_suite(suite_text(*expectations, **head), Preference)
    return str(error.value)


def changed(**fields: object) -> dict:
    return {**MEAN, **fields}


def test_a_suite_keeps_every_expectation_in_its_order():
    suite = load_suite(suite_text(MEAN), Preference)
    assert [expectation.label for expectation in suite.expectations] == [
        "expect_table_row_count_to_be_between()",
        "expect_column_mean_to_be_between(margin)",
    ]
    assert len(suite.sha256) == 64


def test_a_misspelt_type_is_refused_with_line_and_suggestion():
    message = refusal(changed(type="expect_column_mean_to_be_betwen"))
    assert "expectations/preferences.yaml line 9" in message
    assert "'expect_column_mean_to_be_betwen'" in message
    assert "Did you mean expect_column_mean_to_be_between" in message


def test_a_misspelt_column_is_refused_with_suggestion():
    message = refusal(changed(kwargs={"column": "margn", "min_value": 0.2}))
    assert "'margn'" in message and "Did you mean margin" in message


def test_a_misspelt_kwarg_is_refused_with_suggestion():
    message = refusal(changed(kwargs={"column": "margin", "min_valeu": 0.2}))
    assert "'min_valeu'" in message and "min_value" in message


@pytest.mark.parametrize(
    "kwarg", ["result_format", "catch_exceptions", "meta", "id", "condition_parser", "windows"]
)
def test_a_kwarg_that_could_leak_or_hide_is_refused(kwarg):
    assert kwarg in refusal(changed(kwargs={**MEAN["kwargs"], kwarg: "COMPLETE"}))


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ({key: value for key, value in MEAN.items() if key != "reason"}, "'reason' is missing"),
        ({key: value for key, value in MEAN.items() if key != "severity"}, "'severity' is missing"),
        (changed(reason="  "), "the reason is empty"),
        (changed(severity="fatal"), "'fatal'"),
        (changed(notes="?"), "unknown key 'notes'"),
        (changed(kwargs={"column": "margin"}), "no limit"),
        (changed(kwargs={"min_value": 0.2}), "'column' is missing"),
        (changed(kwargs={"column": "margin", "min_value": "0.2"}), "min_value is '0.2'"),
        (changed(kwargs={"column": "margin", "min_value": float("nan")}), "min_value is nan"),
        (changed(kwargs={"column": "margin", "max_value": float("inf")}), "max_value is inf"),
        (changed(kwargs={"column": "margin", "min_value": None}), "min_value is None"),
        (changed(kwargs={"column": "kind", "min_value": 0.2}), "it needs a column of kind number"),
        (changed(kwargs=["column"]), "kwargs must be a mapping"),
        (changed(row_condition={"knd": "x"}), "there is no column 'knd'"),
        (changed(row_condition={"kind": False}), "never equals False"),
        (changed(row_condition='kind == "x"'), "row_condition must be a mapping"),
        (changed(allow_no_values="yes"), "allow_no_values"),
        (changed(type="expect_column_quantile_values_to_be_between"), "there is no expectation type"),
        ("expect_column_mean_to_be_between", "must be a mapping, not str"),
    ],
)
def test_what_is_not_understood_is_refused(item, word):
    assert word in refusal(item)


def test_content_is_no_column_only_its_length_is():
    message = refusal(changed(type="expect_column_values_to_be_unique", kwargs={"column": "chosen"}))
    assert "there is no column 'chosen'" in message and "chosen_chars" in message


def test_a_bare_no_among_words_is_refused():
    text = suite_text(MEAN) + (
        "- {type: expect_column_values_to_be_in_set, kwargs: {column: kind, value_set: [yes, no]}, severity: info, reason: a word}\n"
    )
    with pytest.raises(UserError, match="a bare no as false"):
        load_suite(text, Preference)


def test_the_same_expectation_twice_is_refused():
    assert "is there already" in refusal(MEAN, MEAN)


def test_the_same_expectation_may_warn_early_and_fail_late():
    late = changed(severity="critical", kwargs={"column": "margin", "min_value": 0.1})
    assert len(load_suite(suite_text(MEAN, late), Preference).expectations) == 3


@pytest.mark.parametrize(
    "start",
    [
        MEAN,
        {**ROW_COUNT, "severity": "warning"},
        {**ROW_COUNT, "kwargs": {"min_value": 0}},
        {**ROW_COUNT, "kwargs": {"max_value": 9}},
        {**ROW_COUNT, "row_condition": {"kind": "x"}},
    ],
)
def test_a_suite_that_does_not_begin_with_a_row_count_is_refused(start):
    assert "begins with a critical expect_table_row_count" in refusal(expectations=[start])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name: [", "not YAML"),
        ("- a", "must be a mapping"),
        ("", "must be a mapping"),
        ("name: x\ndescription: y\nexpectations: []", "expectations (a list)"),
        ("name: x\ndescription: y\nexpectation: []", "Remove 'expectation'"),
        ("description: y\nexpectations: [{}]", "name and description are texts"),
        ("name: x\nname: y", "the key 'name' twice"),
        ("<<: {name: x}\ndescription: y", "a YAML merge (<<) in line 1"),
        ("&a name: *a\nb: &c [*c]", "seen: name, b"),
        (
            "name: x\ndescription: y\nexpectations:\n- {kwargs: {column: a, column: b}}",
            "the key 'column' twice",
        ),
    ],
)
def test_what_is_no_suite_is_refused(text, word):
    with pytest.raises(UserError) as error:
        load_suite(text, Preference)
    assert word in str(error.value)


@given(st.text(max_size=60) | st.builds(yaml.safe_dump, st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["name", "description", "expectations", "type"]), x, max_size=4), max_leaves=8)))  # fmt: skip
def test_no_text_is_read_as_anything_but_a_suite_or_a_users_mistake(text):
    with pytest.raises(UserError):
        load_suite(text, Preference)


@given(st.integers(0, 200), st.sampled_from("abcdefghijklmnopqrstuvwxyz_ :"))
def test_a_slip_of_the_key_in_a_type_or_kwarg_never_loses_an_expectation(position, letter):
    text = suite_text(MEAN)
    start = text.index("expect_column_mean")
    slipped = text[: start + position] + letter + text[start + position + 1 :]
    try:
        suite = load_suite(slipped, Preference)
    except UserError:
        return
    assert len(suite.expectations) == 2


ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)


@given(
    st.sampled_from(["type", "kwargs", "severity", "reason", "row_condition", "allow_no_values"]), ANY_VALUE
)
def test_any_value_in_any_field_is_a_suite_or_a_users_mistake(field, value):
    try:
        load_suite(suite_text(changed(**{field: value})), Preference)
    except UserError as error:
        assert "line 9" in str(error)


@given(st.sampled_from(["column", "min_value", "strict_min"]), ANY_VALUE)
def test_any_value_in_any_kwarg_is_a_suite_or_a_users_mistake(kwarg, value):
    try:
        load_suite(suite_text(changed(kwargs={**MEAN["kwargs"], kwarg: value})), Preference)
    except UserError as error:
        assert "line 9" in str(error)


def test_every_type_of_the_catalogue_is_known_to_great_expectations_with_these_kwargs():
    from great_expectations.expectations.registry import get_expectation_impl

    for name, ours in EXPECTATION_TYPES.items():
        theirs = set(get_expectation_impl(name).__fields__)
        assert set(ours.columns) | set(ours.kwargs) <= theirs, name


def test_shipped_suites_are_found_by_environment_variable_first(tmp_path, monkeypatch):
    assert find_suite("dataset").startswith("name: dataset")
    (tmp_path / "dataset.yaml").write_text("name: mine\n")
    monkeypatch.setenv("SPAVL_EXPECTATIONS", str(tmp_path))
    assert find_suite("dataset") == "name: mine\n"
    with pytest.raises(UserError, match="'images' has no suite"):
        find_suite("images")
    monkeypatch.setenv("SPAVL_EXPECTATIONS", str(tmp_path / "absent"))
    with pytest.raises(UserError, match="Set SPAVL_EXPECTATIONS"):
        find_suite("dataset")
