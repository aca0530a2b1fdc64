"""Derived columns and lengths in SQL equal what pandas computes, to the digit, on tables that hypothesis makes up."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import rows
from tests.unit.validation.former_columns import former_columns

from spavl.records import BENIGN
from spavl.stages.dataset.rows import SPLITS
from spavl.taxonomy import load_taxonomy
from spavl.validation.checked_table import CheckedTable
from spavl.validation.derivation import derivation_of
from spavl.validation.lengths import BLANKS

TEXTS = st.text(st.sampled_from("aé😀\u0301\x00'" + BLANKS), max_size=5)
FEW = st.sampled_from(["one", "two", "three"])
FLAGS = st.none() | st.booleans()
LEAF = load_taxonomy().leaves[0]
CLASSES = st.sampled_from([BENIGN, LEAF.class1, LEAF.class2, LEAF.id])
OUTCOMES = st.sampled_from(["ok", "ok", "unparsable", "error"])
MAYBE_TEXTS = st.none() | TEXTS
LABELS = {"chosen_is_unsafe": FLAGS, "rejected_is_unsafe": FLAGS, "is_benign": st.booleans()}
FIELDS = {  # of a good row, what is made up; values are few, so that rows meet
    "images": {"class1": CLASSES, "class2": CLASSES, "class3": CLASSES, "caption": MAYBE_TEXTS},
    "questions": {"class1": CLASSES, "outcome": OUTCOMES, "text": TEXTS, "raw_reply": MAYBE_TEXTS},
    "responses": {"model": FEW, "outcome": OUTCOMES, "text": TEXTS, "error": MAYBE_TEXTS},
    "judgements": {
        "response_id": FEW,
        "mode": st.sampled_from(["image", "text"]),
        "is_unsafe": FLAGS,
        "outcome": OUTCOMES,
    },
    "comparisons": {
        "response_a": FEW,
        "response_b": FEW,
        "axis": st.sampled_from(["harmlessness", "helpfulness"]),
        "order": st.sampled_from(["ab", "ba"]),
        "outcome": OUTCOMES,
        "winner": st.sampled_from(["a", "b", "tie", None]),
        "group_a": st.integers(0, 1),
        "group_b": st.integers(0, 1),
    },
    "preferences": {
        **LABELS,
        "chosen": TEXTS,
        "rejected": TEXTS,
        "chosen_group": st.integers(0, 1),
        "rejected_group": st.integers(0, 1),
        "comparisons": st.lists(FEW, max_size=3).map(tuple),
    },
    "dataset": {
        **LABELS,
        "split": st.sampled_from(SPLITS),
        "image_id": FEW,
        "duplicate_group": FEW,
        "chosen": MAYBE_TEXTS,
        "rejected": MAYBE_TEXTS,
        "class1": CLASSES,
    },
}


@pytest.mark.parametrize("stage", FIELDS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_columns_made_in_sql_equal_those_of_pandas(stage, data):
    good = rows.good_rows(stage, 2)[0]
    made_up = data.draw(st.lists(st.fixed_dictionaries(FIELDS[stage]), min_size=1, max_size=12))
    table_rows = [dataclasses.replace(good, id=f"{n}", **fields) for n, fields in enumerate(made_up)]
    counts = {"quarantined": data.draw(st.integers(0, 9)), "quarantined.duplicate": 0}
    row_type = rows.row_type(stage)
    expected = former_columns(stage, table_rows, row_type, counts)
    table = CheckedTable(rows.to_table(stage, table_rows), row_type, stage, counts, {})
    assert set(expected) >= set(derivation_of(stage).columns)
    pd.testing.assert_frame_equal(table.frame(list(expected)), expected, check_exact=True)


def test_the_first_of_two_labels_with_the_image_is_the_one_that_counts_even_if_it_is_missing():
    seen, unseen = rows.good_rows("judgements", 2)[8:10]
    labels = {"first": (None, True), "second": (True, False), "third": (False, None)}
    table_rows = [
        dataclasses.replace(seen, id=f"{name}{n}", response_id=name, is_unsafe=label)
        for name, pair in labels.items()
        for n, label in enumerate(pair)
    ]
    table_rows += [dataclasses.replace(unseen, id=name, response_id=name, is_unsafe=False) for name in labels]
    table = CheckedTable(
        rows.to_table("judgements", table_rows), rows.row_type("judgements"), "judgements", {}, {}
    )
    assert table.frame(["text_label_agrees"])["text_label_agrees"].tolist()[7:] == [0.0, 1.0]
    assert table.frame(["text_label_agrees"])["text_label_agrees"].isna().tolist()[:7] == [True] * 7


def test_a_stage_without_a_module_of_its_own_columns_has_none():
    assert derivation_of("no_such_stage").columns == {}
    assert derivation_of("records").columns == {}
    assert derivation_of("../images").columns == {}
