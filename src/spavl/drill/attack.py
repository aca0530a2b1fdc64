"""One poison against one honest night: only the stages from the poison on are run, in a copy of the night's store.

Stages before the poison are taken over: their records are written again under the new run, as the same inputs would give
them. The first check that does not pass ends it; what passes all of them would have been released.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spavl import run as steps
from spavl.artifacts.record import Record, read_record, read_rows, record_path, stage_folder
from spavl.artifacts.store import Store, open_store
from spavl.drill.changes import CHAMPION, Model, Source, Table, Weights, model_named, overrides
from spavl.drill.finding import Failure, Finding
from spavl.drill.impossible import Impossible
from spavl.drill.night import (
    LEFT_OUT,
    Night,
    files_of_test_images,
    linked_copy,
    run_stages,
    sources_at,
    work_out,
)
from spavl.drill.pictures import read_pictures, write_tables
from spavl.drill.poison import Poison
from spavl.drill.releases import release_again
from spavl.errors import CheckFailed, UserError
from spavl.pipeline import BY_NAME, DAGS
from spavl.plan import Plan, make_plan
from spavl.run import work_list
from spavl.run.answered import answered_rows
from spavl.run.storing import rows_table
from spavl.stages import row_type_of

log = logging.getLogger("spavl")
REFRESH, ALIGN = "refresh_preferences", "align_model"
GATED = tuple(
    stage for stage in DAGS[ALIGN] if stage not in (LEFT_OUT, "release")
)  # what passes these is released


def attack(poison: Poison, night: Night, folder: Path, key: str = "") -> Finding:
    """What came of the poison; `folder` is made and removed."""
    begun, number = time.monotonic(), 1
    finding = Finding(poison.name, poison.family, poison.says, "released", key=key)
    for number in range(1, poison.num_nights + 1):
        shutil.rmtree(folder, ignore_errors=True)
        attempt = _Attempt(poison, night, folder, number)
        found = attempt.outcome()
        shutil.rmtree(folder, ignore_errors=True)
        finding = dataclasses.replace(finding, **found)
        if finding.is_stopped:
            break
    return dataclasses.replace(finding, night=number, seconds=round(time.monotonic() - begun, 1))


def ask_champion(night: Night) -> None:
    """Answers of the honest candidate and of the released model, left in the night's store for every poison to reuse.

    Nothing is sealed: a decision that is taken would make the next one stricter.
    """
    store, words = night.store, "answers that poisons reuse"
    plan = make_plan(store, dag=ALIGN, airflow_run_id=words, profile=night.profile, overrides=night.overrides, dataset_run=night.refresh_run)  # fmt: skip
    for stage in plan.stages:
        if BY_NAME[stage].runs_on == "training":
            take_over(store, plan, stage, night.align_run)
        elif stage == "evaluation":
            work_out(store, plan, stage)


class _Attempt:
    """One night of one poison."""

    def __init__(self, poison: Poison, night: Night, folder: Path, number: int) -> None:
        self._poison, self._night, self._number = poison, night, number
        self._folder = folder
        linked_copy(Path(night.folder) / "store", folder / "store")
        self._store = open_store(f"file://{folder / 'store'}")
        if poison.is_first_night:
            self._store.remove("channels")  # of the copy
        self._at = (poison.first_stage, "")  # (stage, run id) under way

    def outcome(self) -> dict[str, Any]:
        """verdict, stage, failures and error of a Finding."""
        try:
            self._run()
        except CheckFailed as error:
            stage, run_id = self._at
            failures = tuple(_failures(self._store, run_id, stage))
            is_open = failures and all(failure.status == "inconclusive" for failure in failures)
            verdict = "inconclusive" if is_open else "failed"
            return {"verdict": verdict, "stage": stage, "failures": failures, "error": error.message}
        except UserError as error:
            return {"verdict": "refused", "stage": self._at[0], "error": error.message}
        except Impossible as impossible:
            return {"verdict": "impossible", "error": str(impossible)}
        except _Undone as undone:
            return {"verdict": "undone", "stage": "dataset", "error": str(undone)}
        except Exception as error:
            log.debug(traceback.format_exc())
            frame = traceback.extract_tb(error.__traceback__)[-1]
            words = f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
            return {"verdict": "crashed", "stage": self._at[0], "error": words[:500]}
        return {"verdict": "released"}

    def _run(self) -> None:
        settings = [*self._night.overrides, *self._settings()]
        data_run = self._night.refresh_run
        if self._poison.first_stage in DAGS[REFRESH]:
            plan = self._plan(REFRESH, settings)
            self._stages(plan, data_run, DAGS[REFRESH])
            data_run = plan.run_id
            self._raise_if_undone(plan)
        self._release_champion()
        plan = self._plan(ALIGN, settings, data_run)
        self._stages(plan, self._night.align_run, [stage for stage in plan.stages if stage in GATED])

    def _release_champion(self) -> None:
        """A slow drift's former nights: the champion is a later release than the honest one, and worse."""
        loss = sum(
            change.terms_on(self._number)["share"]
            for change in self._poison.changes
            if isinstance(change, Model) and change.place == CHAMPION and change.terms_on(self._number)
        )
        if loss:
            plan = self._plan(ALIGN, list(self._night.overrides), self._night.refresh_run, "champion")
            release_again(self._store, plan, self._night.align_run, loss, take_over)

    def _settings(self) -> list[str]:
        made = overrides(self._poison.changes, self._night.config, self._number)
        sources = [change for change in self._poison.changes if isinstance(change, Source)]
        return made + ([self._sources(sources)] if sources else [])

    def _sources(self, changes: Sequence[Source]) -> str:
        """The poisoned copy of the pictures, as an override."""
        images, sources = self._folder / "images", self._night.plan.config["images"]["sources"]
        if not self._night.images.is_dir() or not all(source["table"] for source in sources):
            raise Impossible("the image sources are not one folder with CSVs on this disk")
        linked_copy(self._night.images, images)
        tables = [source["table"] for source in sources]
        pictures = read_pictures(images, tables, files_of_test_images(self._night))
        for change in changes:
            pictures = change.change(pictures)
        write_tables(pictures)
        return sources_at(sources, images, list(pictures.tables))

    def _plan(self, dag: str, settings: list[str], data_run: str | None = None, word: str = "drill") -> Plan:
        return make_plan(
            self._store,
            dag=dag,
            airflow_run_id=f"{word} {self._poison.name} {self._number}",
            profile=self._night.profile,
            overrides=settings,
            dataset_run=data_run,
        )

    def _stages(self, plan: Plan, honest_run: str, stages: Sequence[str]) -> None:
        order = list(BY_NAME)
        first = order.index(self._poison.first_stage)
        for stage in stages:
            self._at = (stage, plan.run_id)
            if changed := next((c for c in self._poison.changes if _replaces(c, stage)), None):
                self._replace(plan, honest_run, stage, changed)
            elif order.index(stage) < first:
                take_over(self._store, plan, stage, honest_run)
            else:
                run_stages(self._store, plan, [stage])

    def _replace(self, plan: Plan, honest_run: str, stage: str, change: Table | Weights) -> None:
        if isinstance(change, Weights):
            spec = model_named(change.model, self._night.config)
            path = f"{stage_folder(plan.run_id, stage)}/model"
            files = self._store.upload(Path(spec["path"]), path)
            take_over(self._store, plan, stage, honest_run, model={"path": path, "files": files})
            return
        if BY_NAME[stage].is_sharded:
            seal_changed(self._store, plan, stage, lambda rows: change.change(rows, self._honest_rows))
        else:
            rows = change.change(self._honest_rows(stage), self._honest_rows)
            take_over(self._store, plan, stage, honest_run, rows=rows)

    def _honest_rows(self, stage: str) -> list[Any]:
        return _rows(self._store, self._night.refresh_run, stage)

    def _raise_if_undone(self, plan: Plan) -> None:
        if self._poison.is_undone is None:
            return
        from spavl.stages.dataset.rows import ImageSplit

        record = read_record(self._store, plan.run_id, "dataset")
        assert record is not None, "the dataset has just been sealed"
        splits = read_rows(self._store, record, ImageSplit, "image_splits")
        if self._poison.is_undone(splits, _rows(self._store, plan.run_id, "images")):
            raise _Undone("the dataset has put the copies beside their originals")


class _Undone(Exception):
    """The line itself has made the poison harmless."""


def _replaces(change: Any, stage: str) -> bool:
    return isinstance(change, Table | Weights) and change.stage == stage


def _rows(store: Store, run_id: str, stage: str) -> list[Any]:
    record = read_record(store, run_id, stage)
    assert record is not None, f"run {run_id} has no {stage}"
    return read_rows(store, record, row_type_of(stage))


def take_over(
    store: Store,
    plan: Plan,
    stage: str,
    honest_run: str,
    *,
    rows: Sequence[Any] | None = None,
    model: dict[str, Any] | None = None,
) -> None:
    """The honest run's record as this run's own, with other rows or another model if given.

    What lies beside the record comes along: the gold items that a later stage asks again.
    """
    record = read_record(store, honest_run, stage)
    assert record is not None, f"the honest run {honest_run} has no {stage}"
    made = dataclasses.replace(
        record, run_id=plan.run_id, fingerprint=steps.StageRun(store, plan, stage).fingerprint
    )
    if rows is not None:
        made = _with_rows(store, plan, stage, made, rows)
    if model is not None:
        made = dataclasses.replace(made, folders={**made.folders, "model": model})
    _copy_beside(store, stage_folder(honest_run, stage), stage_folder(plan.run_id, stage))
    store.create(record_path(plan.run_id, stage), made.to_json())


def _copy_beside(store: Store, source: str, target: str) -> None:
    for name in store.names(source):
        if name.endswith(".parquet") and not store.exists(f"{target}/{name}"):
            store.write(f"{target}/{name}", store.read(f"{source}/{name}"))


def _with_rows(store: Store, plan: Plan, stage: str, record: Record, rows: Sequence[Any]) -> Record:
    run = steps.StageRun(store, plan, stage)
    table = rows_table(run, rows, run.row_type).to_json()
    return dataclasses.replace(record, tables={**record.tables, "table": table})


def seal_changed(store: Store, plan: Plan, stage: str, change: Callable[[list[Any]], list[Any]]) -> None:
    """Do a sharded stage, change what its workers have answered (id by id), and seal that: its own suite sees it."""
    work_out(store, plan, stage)
    run = steps.StageRun(store, plan, stage)
    known = work_list.read(store, plan.run_id, stage)
    assert known is not None, "the stage has just been prepared"
    with run.scratch("drill") as context:
        answered = answered_rows(run, context, known)
        rows = {name: answered.rows(name) for name in answered.tables}
        table_of = {row.id: name for name, of_table in rows.items() for row in of_table}
        changed = change([row for of_table in rows.values() for row in of_table])
        tables = {
            name: rows_table(run, [row for row in changed if table_of[row.id] == name], run.module.PART)
            for name in rows
        }
    work_list.commit(store, plan.run_id, stage, work_list.WorkList(known.num_items, (), tables))
    steps.seal(store, plan, stage)


def _failures(store: Store, run_id: str, stage: str) -> Iterator[Failure]:
    """The critical expectations that did not pass, from the evidence that the check has left."""
    path = f"{stage_folder(run_id, stage)}/evidence/report.json"
    if not store.exists(path):
        return
    for result in json.loads(store.read(path))["report"]["results"]:
        if result["severity"] == "critical" and not result["passed"]:
            status = result.get("status") or "fail"
            yield Failure(result["expectation"], status, result["saw"], result["limit"], result["reason"])
