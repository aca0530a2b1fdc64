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
    st.lists(st.integers(0, 90), max_size=150),
    st.integers(1, 2000),
    st.integers(1, 3000),
    st.integers(1, 30),
    st.integers(2, 7),
    st.randoms(use_true_random=False),
)
def test_every_row_comes_once_in_the_order_of_its_place(
    lengths: list[int], bucket: int, waiting: int, batch: int, num_buckets: int, random: object
) -> None:
    num = len(lengths)
    places = list(range(num))
    random.shuffle(places)
    texts = [f"row {place} " + "x" * lengths[place] for place in places]
    rows = pa.table({"place": pa.array(places, pa.int64()), "text": pa.array(texts, pa.string())})
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.multiple(
            external_sort, BUCKET_BYTES=bucket, WAITING_BYTES=waiting, NUM_BUCKETS=num_buckets
        ),
    ):
        tables = list(external_sort.in_order(rows.to_batches(batch), "place", Path(folder), num))
        assert not list(Path(folder).iterdir())
    assert [text for table in tables for text in table["text"].to_pylist()] == [
        f"row {n} " + "x" * lengths[n] for n in range(num)
    ]
    assert all(table.num_rows == 1 or table.nbytes <= max(bucket, waiting) for table in tables)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.text(max_size=2))), st.integers(1, 60), st.integers(1, 30))
def test_rows_of_one_place_come_by_their_other_columns(
    rows: list[tuple[int, str]], limit: int, batch: int
) -> None:
    places, texts = (
        pa.array([row[n] for row in rows], kind) for n, kind in enumerate((pa.int64(), pa.string()))
    )
    table = pa.table({"text": texts, "place": places})
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.multiple(external_sort, BUCKET_BYTES=limit, WAITING_BYTES=limit),
    ):
        made = list(external_sort.in_order(table.to_batches(batch), "place", Path(folder), 6, ["text"]))
    found = [
        row for some in made for row in zip(some["place"].to_pylist(), some["text"].to_pylist(), strict=True)
    ]
    assert found == sorted(rows)
