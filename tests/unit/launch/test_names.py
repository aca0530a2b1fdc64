"""Names are short, stable and what Kubernetes accepts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.launch import names

LABEL = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")  # as the API server checks it


def test_a_name_is_the_same_on_every_worker() -> None:
    assert (
        names.base_name("tests", "20260101-0123456789", "responses", "work", "bold")
        == "spavl-6378f38e52cf690576ae"
    )


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=9), st.text(max_size=9), st.integers(1, 10**12))
def test_an_object_name_has_at_most_40_characters_of_a_host_name(
    installation: str, group: str, generation: int
) -> None:
    base = names.base_name(installation, "20260101-0123456789", "comparisons", "prepare", group)
    name = names.object_name(base, generation)
    assert len(name) <= 40 and re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)


@pytest.mark.parametrize(
    "other",
    [
        ("other", "20260101-0123456789", "responses", "work", "bold"),
        ("tests", "20260102-0123456789", "responses", "work", "bold"),
        ("tests", "20260101-0123456789", "questions", "work", "bold"),
        ("tests", "20260101-0123456789", "responses", "seal", "bold"),
        ("tests", "20260101-0123456789", "responses", "work", None),
        ("tests", "20260101-0123456789", "responses", "work", "None"),
    ],
)
def test_other_work_has_another_name(other: tuple) -> None:
    assert names.base_name(*other) != names.base_name(
        "tests", "20260101-0123456789", "responses", "work", "bold"
    )


@settings(deadline=None)
@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,39}", fullmatch=True))
def test_every_installation_is_a_label_value(installation: str) -> None:
    value = names.label_value(installation)
    assert LABEL.match(value) and len(value) <= 63
    assert value == installation or installation[-1] in "._-"


def test_installations_that_no_label_can_hold_stay_apart() -> None:
    assert len({names.label_value(text) for text in ("a", "a-", "a.", "a_", "-", "", "é", "a" * 80)}) == 8


def test_the_selector_finds_what_the_labels_say() -> None:
    labels = names.labels("a-", "20260101-0123456789", "images", "seal", "spavl-x")
    assert all(labels[key] == value for key, value in (pair.split("=") for pair in names.selector("a-").split(",")))  # fmt: skip
