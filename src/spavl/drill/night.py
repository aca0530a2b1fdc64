"""The honest night that every poison starts from: the demo's line on drawn pictures, in a store of the drill's own.

Its pictures come as two sources, so that one of them can go. A finished night is found again, not made again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spavl import run as steps
from spavl.artifacts.record import Record, read_record, record_path, stage_folder
from spavl.artifacts.store import Store, open_store
from spavl.config import spavl_home
from spavl.drill.pictures import read_pictures, write_tables
from spavl.errors import UserError
from spavl.pipeline import BY_NAME
from spavl.plan import Plan, make_plan, read_plan

SOURCES = ("drawings", "more-drawings")
TABLES = ("images.csv", "more.csv")
LEFT_OUT = "benchmarks"
MORE_EVERY = 5  # every so many-th picture is the second source's
Say = Callable[[str], None]


@dataclass(frozen=True)
class Night:
    """An honest night: where it lies, its two runs, and the settings it ran with."""

    folder: str  # holds `store`, and `images` if the pictures were drawn for it
    profile: str
    overrides: tuple[str, ...]
    refresh_run: str
    align_run: str

    @property
    def store(self) -> Store:
        return open_store(f"file://{self.folder}/store")

    @property
    def images(self) -> Path:
        return Path(self.folder) / "images"

    @property
    def plan(self) -> Plan:
        """The plan of its alignment: the resolved config that poisons start from."""
        return read_plan(self.store, self.align_run)

    @property
    def config(self) -> dict[str, Any]:
        """Its resolved config, with the model that it released among the answering models, as `released`."""
        config = self.plan.config
        path = f"{self.folder}/store/{stage_folder(self.align_run, 'training')}/model"
        released = {**(config["training"]["base"] or {}), "name": "released", "path": path, "revision": None}
        return {**config, "released": released}


def demo_night(folder: Path, profile: str, overrides: Sequence[str], say: Say) -> Night:
    """The honest night under `folder`, made if it is not there (a demo night, about two minutes); goes on after a kill."""
    known = folder / "night.json"
    if known.is_file():
        return _read(known, profile, overrides)
    _teach(say)
    _draw(folder / "images")
    settings = (source_override(folder / "images", TABLES), *overrides)
    store = open_store(f"file://{folder / 'store'}")
    runs = {}
    for dag in ("refresh_preferences", "align_model"):
        plan = make_plan(store, dag=dag, airflow_run_id="honest", profile=profile, overrides=settings)
        say(f"honest night: {dag}, run {plan.run_id}")
        _run(store, plan)
        runs[dag] = plan.run_id
    return _write(known, Night(str(folder), profile, settings, runs["refresh_preferences"], runs["align_model"]))  # fmt: skip


def _run(store: Store, plan: Plan) -> None:
    """Every stage, without benchmarks: they come behind the gate, and would take longer than all the rest of a drill."""
    for stage in plan.stages:
        if stage != LEFT_OUT:
            run_stages(store, plan, [stage])
        elif read_record(store, plan.run_id, stage) is None:
            _leave_out(store, plan, stage)


def _leave_out(store: Store, plan: Plan, stage: str) -> None:
    """A record that says that the drill has left the stage out, so that this store's own release can be made."""
    words = "left out by the drill, whose releases never leave its store"
    made = Record(
        plan.run_id, stage, steps.StageRun(store, plan, stage).fingerprint, plan.created_at, plan.code_version,
        config=plan.config[stage], inputs={}, tables={}, details={"left_out": words},
        check={"suite": stage, "passed": True, "results": [], "left_out": words},
    )  # fmt: skip
    store.create(record_path(plan.run_id, stage), made.to_json())


def _teach(say: Say) -> None:
    from spavl.demo.world import teach_world

    world = spavl_home() / "demo" / "world"
    if not (world / "models").exists():
        say("teaching the demo's tiny models, once (about 80 s)")
    teach_world(world)


def _draw(folder: Path, night: int = 1) -> None:
    from spavl.demo.night import FIRST_NIGHT, LATER_NIGHTS
    from spavl.demo.picture_folder import Batch, draw_nights

    batches = {1: Batch(*FIRST_NIGHT)} | ({night: Batch(*LATER_NIGHTS)} if night > 1 else {})
    draw_nights(folder, batches)
    split_sources(folder)


def draw_more(folder: Path, night: int) -> None:
    """The pictures of a second night with this number, beside those of the first."""
    _draw(folder, night)


def split_sources(folder: Path) -> None:
    """Every MORE_EVERY-th row of the drawn CSV goes to the second source's."""
    drawn = read_pictures(folder, TABLES[:1])
    rows = drawn.rows
    tables = {
        TABLES[0]: [row for number, row in enumerate(rows) if number % MORE_EVERY],
        TABLES[1]: [row for number, row in enumerate(rows) if not number % MORE_EVERY],
    }
    write_tables(type(drawn)(folder, tables))


def source_override(folder: Path, tables: Sequence[str]) -> str:
    """`--set` of the image sources: one per CSV of the folder."""
    columns = {"file": "{file}", "label": "label", "caption": "caption"}
    sources = [
        {"name": name, "url": str(folder), "table": table, "columns": columns, "licence": "CC0-1.0"}
        for name, table in zip(SOURCES, TABLES, strict=True)
        if table in tables
    ]
    return f"images.sources={json.dumps(sources)}"


def sources_at(sources: Sequence[dict[str, Any]], folder: Path, tables: Sequence[str]) -> str:
    """`--set` of a night's own image sources, read from `folder`; those without a CSV there are gone."""
    moved = [{**source, "url": str(folder)} for source in sources if source["table"] in tables]
    return f"images.sources={json.dumps(moved)}"


def night_from_run(folder: Path, align_run: str, say: Say) -> Night:
    """A released run of SPAVL_HOME's own store, copied (by hard links) to where a drill may spoil it."""
    store = open_store()
    plan = read_plan(store, align_run)
    if plan.dag != "align_model" or read_record(store, align_run, "release") is None:
        raise UserError(
            f"run {align_run} is a {plan.dag} run without a release; a drill starts from a released one.",
            next_step="`spavl releases` shows the runs that were released.",
        )
    if not store.url.startswith("file://"):
        raise UserError(
            f"the store {store.url} is not on this machine's disk, and a drill copies it for every poison.",
            next_step="Use --tables-of, which reads tables only.",
        )
    known, refresh_run = folder / "night.json", plan.inputs["dataset"]["run_id"]
    if not known.is_file():
        say(f"copying the store of run {align_run}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        linked_copy(Path(store.url.removeprefix("file://")), folder / "store")
        _link_images(plan.config["images"]["sources"], folder / "images")
    return _write(known, Night(str(folder), plan.profile, tuple(plan.overrides), refresh_run, align_run))  # fmt: skip


def _link_images(sources: Sequence[dict[str, Any]], folder: Path) -> None:
    """The one folder of all sources, if it is on this disk; source poisons are not possible otherwise."""
    urls = {source["url"].removeprefix("file://") for source in sources}
    if len(urls) == 1 and Path(url := urls.pop()).is_dir():
        linked_copy(Path(url), folder)


def _read(path: Path, profile: str, overrides: Sequence[str]) -> Night:
    values = json.loads(path.read_text("utf-8"))
    night = Night(**{**values, "overrides": tuple(values["overrides"])})
    if (night.profile, night.overrides[1:]) != (profile, tuple(overrides)):
        raise UserError(
            f"{path.parent} has an honest night of profile {night.profile!r} with other settings.",
            next_step="Choose another --name, or remove that folder.",
        )
    return night


def _write(path: Path, night: Night) -> Night:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(asdict(night), indent=1), "utf-8")
    os.replace(temporary, path)
    return night


def run_stages(store: Store, plan: Plan, stages: Sequence[str]) -> None:
    """All steps of stages, in this process, as the command line does them one by one."""
    for stage in stages:
        if BY_NAME[stage].is_sharded:
            work_out(store, plan, stage)
        steps.seal(store, plan, stage)


def work_out(store: Store, plan: Plan, stage: str) -> None:
    """All of a sharded stage but its seal."""
    for group in steps.prepare(store, plan, stage).groups:
        for shard in range(group["num_shards"]):
            steps.work(store, plan, stage, group["group"], shard, group["num_shards"])


def linked_copy(source: Path, target: Path) -> None:
    """A copy of a folder by hard links: files of a store, and pictures, are replaced whole and never written into."""
    shutil.copytree(source, target, symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> Any:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def files_of_test_images(night: Night) -> frozenset[str]:
    """Source keys of the images that are in a test split."""
    from spavl.artifacts.record import read_rows
    from spavl.stages.dataset.rows import DatasetRow
    from spavl.stages.images.rows import Image

    store = night.store
    tables = {}
    for stage, row_type in (("images", Image), ("dataset", DatasetRow)):
        record = read_record(store, night.refresh_run, stage)
        assert record is not None, "an honest night is whole"
        tables[stage] = read_rows(store, record, row_type)
    tested = {row.image_id for row in tables["dataset"] if row.split.startswith("test")}
    return frozenset(row.source_key for row in tables["images"] if row.id in tested)
