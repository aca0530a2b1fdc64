"""Reference log-probabilities are kept under all that decides them, and read back as the same bytes."""

import dataclasses

import numpy as np
import pytest

from spavl.artifacts.store import open_store
from spavl.learning.references import FOLDER, ReferenceCache, Terms

TERMS = Terms("files-1", "", "processor", "template", "float32", "sdpa", "layout 1")
EXACT = float(np.float32(-12.3456789))


def test_what_was_kept_is_read_back_exactly_on_disk_and_on_s3(store_url):
    ReferenceCache(open_store(store_url), TERMS).add({"a": EXACT, "b": -1.5})
    assert dict(ReferenceCache(open_store(store_url), TERMS).read()) == {"a": EXACT, "b": -1.5}


def test_a_key_keeps_its_first_value(tmp_path):
    store = open_store(f"file://{tmp_path}")
    ReferenceCache(store, TERMS).add({"a": -1.0})
    cache = ReferenceCache(store, TERMS)
    cache.add({"a": -2.0, "b": -3.0})
    assert dict(ReferenceCache(store, TERMS).read()) == dict(cache.read()) == {"a": -1.0, "b": -3.0}


def test_nothing_new_writes_nothing(tmp_path):
    store = open_store(f"file://{tmp_path}")
    cache = ReferenceCache(store, TERMS)
    cache.add({"a": -1.0})
    before = store.walk(FOLDER)
    cache.add({"a": -1.0})
    assert store.walk(FOLDER) == before and len(before) == 1


@pytest.mark.parametrize("content", [b"", b"PAR1", None], ids=["empty", "junk", "half"])
def test_a_damaged_file_counts_as_missing_and_the_others_are_read(tmp_path, content):
    store = open_store(f"file://{tmp_path}")
    ReferenceCache(store, TERMS).add({"a": -1.0})
    (damaged,) = store.walk(FOLDER)
    ReferenceCache(store, TERMS).add({"b": -2.0})
    whole = store.read(damaged)
    store.write(damaged, whole[: len(whole) // 2] if content is None else content)
    cache = ReferenceCache(store, TERMS)
    assert dict(cache.read()) == {"b": -2.0}
    cache.add({"a": -1.0})
    assert dict(ReferenceCache(store, TERMS).read()) == {"a": -1.0, "b": -2.0}


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_what_is_no_number_counts_as_missing(tmp_path, value):
    store = open_store(f"file://{tmp_path}")
    ReferenceCache(store, TERMS).add({"a": value, "b": -2.0})
    cache = ReferenceCache(store, TERMS)
    assert dict(cache.read()) == {"b": -2.0}
    cache.add({"a": -1.0})
    assert dict(ReferenceCache(store, TERMS).read()) == {"a": -1.0, "b": -2.0}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Terms)])
def test_any_other_term_is_another_folder(tmp_path, field):
    store = open_store(f"file://{tmp_path}")
    ReferenceCache(store, TERMS).add({"a": -1.0})
    other = dataclasses.replace(TERMS, **{field: "another"})
    assert dict(ReferenceCache(store, other).read()) == {}
