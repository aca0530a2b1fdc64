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


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.text(max_size=2))), st.integers(1, 60), st.integers(1, 30))
def test_buckets_come_by_their_numbers_and_each_in_the_order_of_its_columns(
    rows: list[tuple[int, str]], waiting: int, batch: int
) -> None:
    numbers, texts = (
        pa.array([row[n] for row in rows], kind) for n, kind in enumerate((pa.int64(), pa.string()))
    )
    table = pa.table({"text": texts, "number": numbers})
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(external_sort, "WAITING_ROWS", waiting):
        made = external_sort.in_buckets(
            table.to_batches(batch), lambda some: some["number"], ["text"], Path(folder)
        )
        found = [
            list(zip(some["number"].to_pylist(), some["text"].to_pylist(), strict=True)) for some in made
        ]
    assert [row for bucket in found for row in bucket] == sorted(rows)
    assert [bucket[0][0] for bucket in found] == sorted({number for number, _ in rows})
