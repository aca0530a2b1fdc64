from collections import Counter

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.report import counting, words
from spavl.report.checks import expectations_of, failures_in_words, verdict_of

ENGINE = duckdb.connect()


def relation(rows, schema):
    ENGINE.register("made", pa.Table.from_pylist(rows, schema=schema))
    return ENGINE.table("made")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), unique_by=lambda pair: pair[0]))
def test_values_are_counted_binned_and_averaged_as_row_by_row(values):
    rows = [{"id": f"{number:02}", "class1": name, "margin": number / 40} for number, name in values]
    schema = pa.schema([("id", pa.string()), ("class1", pa.string()), ("margin", pa.float64())])
    found = relation(rows, schema)
    names = [name for _, name in values]
    assert list(counting.count_by(found, "class1").items()) == sorted(
        Counter(names).items(), key=lambda entry: (-entry[1], entry[0])
    )
    margins = [row["margin"] for row in rows]
    assert counting.histogram(found, "margin") == list(np.histogram(margins, bins=8, range=(0, 1))[0])
    mean = counting.mean(found, "margin")
    assert mean == (pytest.approx(sum(margins) / len(margins)) if margins else None)
    first = {
        row["id"]
        for name in set(names)
        for row in sorted((row for row in rows if row["class1"] == name), key=lambda row: row["id"])[:3]
    }
    assert sorted(counting.smallest_ids(found, "class1", 3)) == sorted(first)


def test_a_share_over_nothing_is_not_a_number():
    assert counting.share(0, 0) is None
    assert words.percent(None) == "–"


def test_points_are_signed_and_zero_has_no_sign():
    assert [words.points(value) for value in (-0.94, 0.07, -0.0001)] == ["−94.0", "+7.0", "0.0"]


def test_a_warning_that_failed_is_no_failed_check():
    check = {
        "passed": True,
        "results": [
            {
                "expectation": "e1",
                "severity": "critical",
                "passed": True,
                "saw": "1",
                "limit": "2",
                "reason": "r",
            },
            {
                "expectation": "e2",
                "severity": "warning",
                "passed": False,
                "saw": "3",
                "limit": "4",
                "reason": "r",
            },
        ],
    }
    assert verdict_of(check) == "warnings"
    assert failures_in_words(check) == ["warning: e2: seen 3, limit 4 (r)"]
    assert [one.label for one in expectations_of(check)] == ["e2", "e1"]
    assert verdict_of({}) == ""
