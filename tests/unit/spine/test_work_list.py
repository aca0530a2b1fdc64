"""Chunks are cut from the list and are the same however often and wherever they are computed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.artifacts.engine import Engine
from spavl.artifacts.parts import Part, Table
from spavl.artifacts.store import open_store
from spavl.errors import UserError
from spavl.run import work_list
from spavl.run.prepare import ShardWriter, cut, list_items, write_shards
from spavl.run.work_list import Group, ShardFile, WorkList
from spavl.stage import Chunk, Items, WorkItem


def items(count: int, group: str = "bold") -> list[WorkItem]:
    return [WorkItem(f"{group}-{number}", group, {"n": number}) for number in range(count)]


def laid_out(
    listed: Sequence[WorkItem],
    num_shards: int,
    chunk_size: int,
    reused: Sequence[str] = (),
    *,
    as_items: bool = False,
) -> tuple[tuple[Group, ...], dict[tuple[str, int], list[Chunk]]]:
    """The groups, and the chunks of every shard as the shard reads them."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        store = open_store(f"file://{scratch / 'store'}")
        engine = Engine(store, scratch, scratch / "cache")
        list_items(engine, _as_items(engine, listed) if as_items else iter(listed), scratch)
        engine.execute("CREATE TEMP TABLE reused_ids (id VARCHAR)")
        for id in reused:
            engine.execute(f"INSERT INTO reused_ids VALUES ('{id}')")
        groups = cut(engine, num_shards, chunk_size)
        write_shards(engine, ShardWriter(store, "r", "responses", scratch, groups))
        chunks = {
            (group.group, shard): list(
                ShardFile.of(store, scratch, "r", "responses", group.group, shard).chunks()
            )
            for group in groups
            for shard in range(group.num_shards)
        }
        engine.close()
    return groups, chunks


def _as_items(engine: Engine, listed: Sequence[WorkItem]) -> Items:
    columns = {
        "id": [item.id for item in listed],
        "group": [item.group for item in listed],
        "n": [item.payload["n"] for item in listed],
        "number": list(range(len(listed))),
    }
    return Items(engine.view("listed", pa.table(columns)), ("number",))


@pytest.mark.parametrize("as_items", [False, True])
def test_seven_items_in_chunks_of_two_and_two_shards(as_items: bool) -> None:
    groups, chunks = laid_out(items(7), 2, 2, as_items=as_items)
    layout = {key: [[item.id[-1] for item in c.items] for c in found] for key, found in chunks.items()}
    assert layout == {("bold", 0): [["0", "1"], ["2", "3"]], ("bold", 1): [["4", "5"], ["6"]]}
    assert [chunk.number for chunk in chunks["bold", 1]] == [0, 1]
    assert groups == (Group("bold", 2, 7),)
    assert chunks["bold", 0][0].items[1].payload["n"] == 1


def test_reused_items_need_no_shard() -> None:
    assert laid_out(items(3), 4, 1, ["bold-0", "bold-1", "bold-2"]) == ((), {})


def test_a_group_never_gets_an_empty_shard() -> None:
    assert laid_out(items(3), 8, 2)[0] == (Group("bold", 2, 3),)


def test_two_items_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="has the id bold-0 twice"):
        laid_out([*items(1), *items(1)], 1, 1)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 40), min_size=1),
    st.integers(1, 6),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_every_new_item_is_in_exactly_one_chunk_and_every_shard_has_work(
    sizes: dict[str, int], num_shards: int, chunk_size: int, random: object
) -> None:
    listed = [item for group, size in sizes.items() for item in items(size, group)]
    random.shuffle(listed)
    reused = [item.id for item in listed if random.random() < 0.3]
    groups, chunks = laid_out(listed, num_shards, chunk_size, reused)
    todo = [item for item in listed if item.id not in reused]
    for group in groups:
        assert 1 <= group.num_shards <= num_shards
        of_group = [chunks[group.group, shard] for shard in range(group.num_shards)]
        for found in of_group:
            assert found and all(1 <= len(chunk.items) <= chunk_size for chunk in found)
            assert [chunk.number for chunk in found] == list(range(len(found)))
        assert [i for found in of_group for c in found for i in c.items] == [
            item for item in todo if item.group == group.group
        ]
    assert sorted({item.group for item in todo}) == sorted(group.group for group in groups)


def test_finished_chunks_are_passed_over_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path / 'store'}")
    engine = Engine(store, tmp_path, tmp_path / "cache")
    list_items(engine, iter(items(5000)), tmp_path)
    groups = cut(engine, 1, 7)
    write_shards(engine, ShardWriter(store, "r", "responses", tmp_path, groups))
    listed = ShardFile.of(store, tmp_path, "r", "responses", "bold", 0)
    assert listed.num_items() == 5000
    left = list(listed.chunks(frozenset(range(700))))
    assert [chunk.number for chunk in left] == list(range(700, 715))
    assert left[0].items[0].id == "bold-4900"


def test_a_list_is_read_back_as_written(store_url: str) -> None:
    store = open_store(store_url)
    part = Part("parts/responses/aa/aa.parquet", "aa", 5, 100)
    made = WorkList(7, (Group("bold", 2, 3),), {"table": Table("Response", 4, (part,), (part,))})
    assert work_list.read(store, "r", "responses") is None
    work_list.commit(store, "r", "responses", made)
    assert work_list.read(store, "r", "responses") == made


def test_a_list_of_a_former_version_is_refused_in_one_line(store_url: str) -> None:
    store = open_store(store_url)
    store.write("runs/r/responses/worklist.json", b'{"num_shards": {"bold": 1}}')
    with pytest.raises(UserError, match="made by a former version of spavl"):
        work_list.read(store, "r", "responses")
