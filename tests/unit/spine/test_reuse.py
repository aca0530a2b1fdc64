"""Rows of earlier runs are found by their ids, each once, newest run first, whatever parts hold them and however these overlap."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.artifacts.engine import Engine
from spavl.artifacts.parts import Table, in_batches, write_parts
from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import Store, open_store
from spavl.records import arrow_schema
from spavl.run import reuse, storing, work_list
from spavl.run.reuse import reused_rows
from spavl.stages.comparisons.rows import GoldPair
from spavl.stages.questions.rows import Question

IDS = tuple(f"id{number}" for number in range(12))


def question(id: str, run_id: str, outcome: str = "ok") -> Question:
    """The text says which run asked it."""
    return Question(id, "i", "a", "b", "c", "easy_question", run_id, "g", "r", "p", 0, outcome, None, None)


def stage_run(store: Store, runs: list[str]) -> Any:
    module = SimpleNamespace(PART=Question)
    return SimpleNamespace(
        store=store, stage="questions", module=module, plan=SimpleNamespace(reuse_runs=runs)
    )


def seal(store: Store, run_id: str, table: Table) -> None:
    record = Record(run_id, "questions", "f", "2026-01-01", "test", {}, {}, {"table": table.to_json()})
    store.create(record_path(run_id, "questions"), record.to_json())


def write_run(store: Store, run_id: str, parts: list[list[Question]], *, is_sealed: bool) -> None:
    """A former run whose table has these parts, or one that a kill ended before it was sealed."""
    if not is_sealed:
        for chunk, rows in enumerate(parts):
            work_list.write_part(
                store, work_list.part_path(run_id, "questions", "g", 0, chunk), rows, Question
            )
        return
    written = [
        write_parts(store, "questions", arrow_schema(Question), in_batches(rows, Question)) for rows in parts
    ]
    listed = tuple(part for of_part in written for part in of_part)
    seal(store, run_id, Table("Question", sum(part.num_rows for part in listed), listed))


@contextlib.contextmanager
def opened(url: str = "") -> Iterator[tuple[Store, Engine]]:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(url or f"file://{folder}/store")
        engine = Engine(store, Path(folder), Path(folder) / "cache")
        yield store, engine
        engine.close()


def found(
    store: Store, engine: Engine, runs: list[str], wanted: list[str]
) -> tuple[Table | None, list[Question]]:
    engine.view("items", pa.table({"id": pa.array(wanted, pa.string()), "table": ["table"] * len(wanted)}))
    table = reused_rows(stage_run(store, runs), engine).get("table")
    if table is None:
        return None, []
    rows = list(engine.rows(engine.relation_of(table, Question), Question))
    assert sorted(row.id for row in rows) == sorted(id for (id,) in engine.sql("FROM reused_ids").fetchall())
    return table, rows


former_runs = st.lists(
    st.tuples(
        st.booleans(),  # sealed
        st.lists(
            st.dictionaries(st.sampled_from(IDS), st.sampled_from(["ok", "ok", "error"]), min_size=1),
            max_size=3,
        ),
    ),
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(former_runs, st.sets(st.sampled_from(IDS)))
def test_every_wanted_row_comes_once_from_the_newest_run_that_has_it(runs: Any, wanted: set[str]) -> None:
    with opened() as (store, engine):
        expected: dict[str, str] = {}
        for number, (is_sealed, parts) in enumerate(runs):
            run_id, seen, laid = f"run{number}", set(), []
            for part in parts:  # an id is in one part of a run
                rows = [question(id, run_id, outcome) for id, outcome in part.items() if id not in seen]
                seen |= part.keys()
                laid += [rows] if rows else []
                for row in rows:
                    if row.id in wanted and row.outcome != "error":
                        expected.setdefault(row.id, run_id)
            write_run(store, run_id, laid, is_sealed=is_sealed)
        table, rows = found(store, engine, [f"run{number}" for number in range(len(runs))], sorted(wanted))
        assert {row.id: row.text for row in rows} == expected and len(rows) == len(expected)
        assert (table.num_rows if table else 0) == len(expected)


def test_a_part_that_is_wanted_whole_is_referred_to_and_nothing_is_written() -> None:
    with opened() as (store, engine):
        write_run(store, "run0", [[question(id, "run0") for id in IDS]], is_sealed=True)
        before = store.walk("parts")
        table, _ = found(store, engine, ["run0"], list(IDS))
        assert store.walk("parts") == before
        assert table.dropped == () and [part.path for part in table.parts] == [
            p for p in before if ".ids" not in p
        ]


def test_a_part_of_which_half_is_wanted_is_referred_to_with_a_list_of_what_is_not() -> None:
    with opened() as (store, engine):
        write_run(store, "run0", [[question(id, "run0") for id in IDS]], is_sealed=True)
        table, _ = found(store, engine, ["run0"], list(IDS[:6]))
        assert len(table.parts) == 1 and table.parts[0].num_rows == 12 and table.dropped[0].num_rows == 6
        table, rows = found(store, engine, ["run0"], list(IDS[:5]))
        assert table.parts[0].num_rows == 5 and table.dropped == () and len(rows) == 5


def test_rows_that_a_later_run_dropped_come_back_when_they_are_wanted_again() -> None:
    with opened() as (store, engine):
        write_run(store, "run0", [[question(id, "run0") for id in IDS]], is_sealed=True)
        table, _ = found(store, engine, ["run0"], list(IDS[:8]))
        seal(store, "run1", table)
        back, rows = found(store, engine, ["run1", "run0"], list(IDS))
        assert back.dropped == () and {row.id for row in rows} == set(IDS)


def test_many_small_parts_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "MAX_SMALL_PARTS", 3)
    with opened() as (store, engine):
        write_run(store, "run0", [[question(id, "run0")] for id in IDS[:4]], is_sealed=True)
        table, rows = found(store, engine, ["run0"], list(IDS))
        assert len(table.parts) == 1 and {row.id for row in rows} == set(IDS[:4])


def test_a_table_of_other_columns_is_not_reused() -> None:
    with opened() as (store, engine):
        pair = GoldPair("id0", "b", "l", "a", "c", "k", "q", "question", "i", "x", "a", "b", "a")
        parts = write_parts(store, "questions", arrow_schema(GoldPair), in_batches([pair], GoldPair))
        seal(store, "run0", Table("GoldPair", 1, parts))
        assert found(store, engine, ["run0"], list(IDS)) == (None, [])


def test_an_index_is_enough_to_find_ids_in_a_store_far_away(store_url: str) -> None:
    with opened(store_url) as (store, engine):
        write_run(store, "run0", [[question(id, "run0") for id in IDS]], is_sealed=True)
        table, rows = found(store, engine, ["run0"], list(IDS[:7]))
        assert table.num_rows == 7 and {row.id for row in rows} == set(IDS[:7])


versions = st.lists(
    st.dictionaries(st.sampled_from(IDS), st.sampled_from(["text one", "text two"])), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(versions)
def test_a_derived_table_is_what_tonight_says_however_much_of_it_former_parts_hold(contents: Any) -> None:
    with opened() as (store, engine):
        former = None
        for number, content in enumerate(contents):
            rows = [question(id, text) for id, text in content.items()]
            tonight = engine.view("tonight_rows", pa.Table.from_pylist([], arrow_schema(Question)))
            if rows:
                (batch,) = in_batches(rows, Question)
                tonight = engine.view("tonight_rows", batch)
            table = storing.relation_table(stage_run(store, []), engine, tonight, Question, former, "table")
            read = {row.id: row.text for row in engine.rows(engine.relation_of(table, Question), Question)}
            assert read == content and table.num_rows == len(content)
            former = Record(f"run{number}", "questions", "f", "", "", {}, {}, {"table": table.to_json()})


def test_a_derived_table_that_has_not_changed_writes_nothing() -> None:
    with opened() as (store, engine):
        (batch,) = in_batches([question(id, "text") for id in IDS], Question)
        rows = engine.view("tonight_rows", batch)
        first = storing.relation_table(stage_run(store, []), engine, rows, Question, None, "table")
        before = store.walk("parts")
        former = Record("run0", "questions", "f", "", "", {}, {}, {"table": first.to_json()})
        assert storing.relation_table(stage_run(store, []), engine, rows, Question, former, "table") == first
        assert store.walk("parts") == before
