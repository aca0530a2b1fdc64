"""A drill without any model: the recorded tables of one night, poisoned, go through the stages' own `seal` and suites again.

Simplified in one way: nobody is asked, so answers stay those of the honest night, whatever was poisoned before them. What
a suite must see in labels, pairs, floods, gaps and verdicts is all there.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spavl.artifacts.engine import Engine
from spavl.artifacts.record import Record, read_record, read_rows
from spavl.artifacts.store import Store
from spavl.config import spavl_home
from spavl.drill.finding import Failure, Finding
from spavl.drill.impossible import Impossible
from spavl.drill.score import Score, score
from spavl.drill.table_catalogue import TABLE_POISONS
from spavl.drill.table_poisons import TablePoison, Tables
from spavl.errors import UserError
from spavl.pipeline import BY_NAME, DAGS
from spavl.plan import Plan, read_plan
from spavl.records import to_table
from spavl.run.context import RunContext
from spavl.run.in_memory import RowAnswered, RowTables, rows_of
from spavl.stages import row_type_of, stage_module
from spavl.stages.images.rows import Image, ImageCandidate

STAGES = DAGS["refresh_preferences"]
GOLD = "gold_answered"  # the side table of the judge's answers about gold items


def drill_tables(store: Store, run_id: str, only: Sequence[str], say: Callable[[str], None]) -> Score:
    """The score of the expectations that this refresh run was planned with, on its own tables."""
    plan = read_plan(store, run_id)
    if plan.dag != "refresh_preferences" or read_record(store, run_id, "dataset") is None:
        raise UserError(
            f"run {run_id} is no finished run of refresh_preferences.",
            next_step="`spavl status` shows the runs.",
        )
    if unknown := [name for name in only if name not in {poison.name for poison in TABLE_POISONS}]:
        names = ", ".join(poison.name for poison in TABLE_POISONS)
        raise UserError(f"there is no table poison {unknown[0]!r}.", next_step=f"Known are {names}.")
    found = []
    control = TablePoison("control", "honest", "The same tables once more.", lambda tables: {})
    poisons = [poison for poison in TABLE_POISONS if not only or poison.name in only]
    for poison in [control, *poisons]:
        found.append(drill_one(store, plan, poison))
        say(
            f"{len(found)}/{len(poisons) + 1} {found[-1].name}: {found[-1].verdict} {found[-1].stage}".rstrip()
        )
    return score(found[1:], found[:1])


def drill_one(store: Store, plan: Plan, poison: TablePoison) -> Finding:
    """What the suites say of one poison; stops at the first stage that does not pass."""
    begun = time.monotonic()
    finding = Finding(poison.name, poison.family, poison.says, "released")
    at, scratch = STAGES[0], Path(tempfile.mkdtemp(prefix="spavl-drill-"))
    try:
        changed = poison.change(Tables(lambda stage: recorded(store, plan, stage)))
        context = _Context(store, plan, changed, scratch)
        for at in _from_first(changed):
            if failures := context.seal(at):
                is_open = all(failure.status == "inconclusive" for failure in failures)
                verdict = "inconclusive" if is_open else "failed"
                finding = dataclasses.replace(finding, verdict=verdict, stage=at, failures=failures)
                break
    except Impossible as impossible:
        finding = dataclasses.replace(finding, verdict="impossible", error=str(impossible))
    except UserError as error:
        finding = dataclasses.replace(finding, verdict="refused", stage=at, error=error.message)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return dataclasses.replace(finding, seconds=round(time.monotonic() - begun, 1))


def recorded(store: Store, plan: Plan, stage: str) -> list[Any]:
    """The rows of a stage's table, as this run has recorded them."""
    record = read_record(store, plan.run_id, stage)
    assert record is not None, f"run {plan.run_id} has no {stage}"
    return _with_gold(store, record, row_type_of(stage), "table")


def _with_gold(store: Store, record: Record, row_type: type, name: str) -> list[Any]:
    """A table's rows, with the judge's answers about gold items, which `seal` took out of it."""
    names = [name, GOLD] if GOLD in record.tables else [name]
    return [row for each in names for row in read_rows(store, record, row_type, each)]


def _from_first(changed: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """The stages to seal again. Pairs are recorded by a stage that nobody answers for: the dataset is the first to see them."""
    first = min((STAGES.index(stage) for stage in changed), default=0)
    return STAGES[first + (not BY_NAME[STAGES[first]].is_sharded) :]


class _Context(RunContext):
    """The context of one stage after another, with the poisoned rows in the place of the recorded ones."""

    def __init__(self, store: Store, plan: Plan, changed: Mapping[str, Sequence[Any]], scratch: Path) -> None:
        super().__init__(store, plan, STAGES[0], scratch)
        self._changed = changed
        self._rows = {stage: list(rows) for stage, rows in changed.items() if not BY_NAME[stage].is_sharded}

    @functools.cached_property
    def tables(self) -> RowTables:
        engine = Engine(self.store, self.scratch, spavl_home() / "cache" / "parts")
        return RowTables(engine, self.rows, self.record, self.previous)

    def previous(self, stage: str) -> Record | None:
        """The honest night itself: the poisoned tables stand for the night after it."""
        return read_record(self.store, self.run_id, stage)

    def seal(self, stage: str) -> tuple[Failure, ...]:
        """The critical expectations that do not pass on what the stage makes of its rows."""
        self._stage = stage
        self.scratch = Path(tempfile.mkdtemp(dir=self.scratch.parent, prefix="spavl-drill-"))
        try:
            return self._sealed(stage)
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _sealed(self, stage: str) -> tuple[Failure, ...]:
        from spavl.validation import check, load_suite

        module, engine = stage_module(stage), self.tables.engine
        row_type = row_type_of(stage)
        answers = self._answers(stage) if BY_NAME[stage].is_sharded else {}
        answered = RowAnswered(engine, getattr(module, "PART", row_type), answers)
        sealed = rows_of(engine, stage, module.seal(self, answered), answered)
        self._rows[stage] = list(sealed.rows)
        suite = load_suite(self._plan.suites[stage], row_type)
        counts = {"rows": len(sealed.rows), **sealed.counts}
        table = to_table(sealed.rows, row_type)
        report = check(table, suite, stage=stage, counts=counts, measures=sealed.measures)
        return tuple(
            Failure(result.expectation, result.status, result.saw, result.limit, result.reason)
            for result in report.failures("critical")
        )

    def _answers(self, stage: str) -> dict[str, list[Any]]:
        """What the stage's workers have answered: the poisoned rows, or the recorded ones; those about gold items apart."""
        record = self.record(stage)
        name = "parts" if "parts" in record.tables else "table"
        row_type = stage_module(stage).PART
        gold = read_rows(self.store, record, row_type, GOLD) if GOLD in record.tables else []
        if stage not in self._changed:
            return {"table": read_rows(self.store, record, row_type, name), GOLD: gold}
        rows, gold_ids = list(self._changed[stage]), {row.id for row in gold}
        if stage == "images":
            rows = [_candidate(row) for row in rows]
        of_gold = [row for row in rows if row.id in gold_ids]
        return {"table": [row for row in rows if row.id not in gold_ids], GOLD: of_gold}


def _candidate(image: Image) -> ImageCandidate:
    return ImageCandidate(image.id, image.source, image.source_key, None, None, json.dumps(dataclasses.asdict(image)))  # fmt: skip
