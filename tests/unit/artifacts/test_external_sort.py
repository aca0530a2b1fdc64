"""Rows that come in any order leave in the order of their places, however small the memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.artifacts import external_sort


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 200),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(1, 30),
    st.randoms(use_true_random=False),
)
def test_every_row_comes_once_in_the_order_of_its_place(
    num: int, bucket: int, waiting: int, batch: int, random: object
) -> None:
    places = list(range(num))
    random.shuffle(places)
    rows = pa.table({"place": pa.array(places, pa.int64()), "text": [f"row {place}" for place in places]})
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.multiple(external_sort, BUCKET_ROWS=bucket, WAITING_ROWS=waiting),
    ):
        tables = list(external_sort.in_order(rows.to_batches(batch), "place", Path(folder)))
        assert not list(Path(folder).iterdir())
    assert [text for table in tables for text in table["text"].to_pylist()] == [
        f"row {n}" for n in range(num)
    ]
    assert all(table.num_rows <= bucket for table in tables)
