"""A row that names another which is not there is an error with its name, not a row less."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.artifacts.engine import Engine, small_engine
from spavl.artifacts.store import open_store
from spavl.errors import UserError
from spavl.sql import refuse_strays


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with small_engine(open_store(f"file://{tmp_path_factory.mktemp('store')}")) as engine:
        yield engine


def view(engine: Engine, questions: list[str], named: list[str | None]) -> None:
    engine.view("questions", pa.table({"id": pa.array(questions, pa.string())}))
    ids = [f"r{number:03d}" for number in range(len(named))]
    rows = {"id": pa.array(ids, pa.string()), "question_id": pa.array(named, pa.string())}
    engine.view("responses", pa.table(rows))


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), unique=True), st.lists(st.sampled_from([*"abcd", None]), max_size=6))
def test_strays_are_counted_and_the_first_is_named(
    engine: Engine, questions: list[str], named: list[str | None]
) -> None:
    view(engine, questions, named)
    strays = [number for number, name in enumerate(named) if name not in questions]
    if not strays:
        refuse_strays(engine, "responses", "question_id", "questions")
        return
    with pytest.raises(UserError) as caught:
        refuse_strays(engine, "responses", "question_id", "questions")
    assert caught.value.message == (
        f"{len(strays)} rows of `responses` name in `question_id` what `questions` does not have (first: row r{strays[0]:03d})."
    )
