"""Chunks are cut from the list and are the same however often and wherever they are computed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spavl import worklist
from spavl.artifacts.store import open_store
from spavl.stage import WorkItem


def items(count: int, group: str = "bold") -> list[WorkItem]:
    return [WorkItem(f"{group}-{number}", group, {"n": number}) for number in range(count)]


def test_seven_items_in_chunks_of_two_and_two_shards() -> None:
    made = worklist.cut(items(7), [], num_shards=2, chunk_size=2)
    layout = [(row.shard, row.chunk) for row in made.rows]
    assert layout == [(0, 0), (0, 0), (0, 1), (0, 1), (1, 0), (1, 0), (1, 1)]
    assert made.num_shards == {"bold": 2}


def test_reused_items_need_no_shard() -> None:
    made = worklist.cut(items(3), ["bold-0", "bold-1", "bold-2"], num_shards=4, chunk_size=1)
    assert made.num_shards == {} and made.groups() == []
    assert [row.shard for row in made.rows] == [-1, -1, -1]


def test_a_group_never_gets_an_empty_shard() -> None:
    assert worklist.cut(items(3), [], num_shards=8, chunk_size=2).num_shards == {"bold": 2}


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 40), min_size=1),
    st.integers(1, 6),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_every_new_item_is_in_exactly_one_chunk_and_every_shard_has_work(
    sizes, num_shards, chunk_size, random
) -> None:
    listed = [item for group, size in sizes.items() for item in items(size, group)]
    random.shuffle(listed)
    reused = {item.id for item in listed if random.random() < 0.3}
    made = worklist.cut(listed, reused, num_shards, chunk_size)
    seen = []
    for group, shards in made.num_shards.items():
        assert 1 <= shards <= num_shards
        for shard in range(shards):
            chunks = made.chunks(group, shard)
            assert chunks and all(1 <= len(chunk.items) <= chunk_size for chunk in chunks)
            assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
            seen += [item.id for chunk in chunks for item in chunk.items]
    assert sorted(seen) == sorted(item.id for item in listed if item.id not in reused)
    assert [row.id for row in made.rows] == [item.id for item in listed]


def test_a_list_is_read_back_as_written(store_url: str) -> None:
    store = open_store(store_url)
    made = worklist.cut(items(5), ["bold-2"], 2, 2)
    assert worklist.read(store, "r", "responses") is None
    worklist.write(store, "r", "responses", made)
    assert worklist.read(store, "r", "responses") == made
