"""A small line in a bucket whose server can fail at any request, and what must hold of a store whatever failed."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tests.line import run_here, write_profile

from spavl import run as steps
from spavl.artifacts import channel, forgotten
from spavl.artifacts.packs import FOLDER, Places, blob_path, index_path, listed
from spavl.artifacts.parts import index_path as ids_path
from spavl.artifacts.parts import table_from_json
from spavl.artifacts.record import Record, record_path
from spavl.artifacts.store import Store, open_store
from spavl.plan import Plan, make_plan, plan_path

Files = Mapping[str, bytes]
_TIMES = {"created_at", "at", "renewed_at", "requests"}  # another at each run of the same command
_OF_A_TRY = re.compile(r"/leases/|/failure\.json$|/data_docs/|/history\.json$|^history\.html$|/requests/")


@dataclass(frozen=True)
class Nights:
    """Stores on disk, by what was done last, and what is in them."""

    profile: Path
    runs: tuple[str, str, str]
    forgotten: str  # an image of the first run that is on the list
    other: str  # an image that is not
    images_sealed: Files  # the third run has its images
    answered: Files  # and its questions are answered, not sealed


def make_nights(folder: Path) -> Nights:
    """Three nights up to `questions`, the last one not sealed, on two sets of pictures; three releases; one forgotten image."""
    home = folder / "home"
    store = open_store(f"file://{home / 'store'}")
    profiles = [
        write_profile(
            folder / name,
            num_per_leaf=1,
            num_per_benign=3,
            night=night,
            questions={"generator": {"kind": "demo_rules"}, "num_benign_controls": controls},
        )
        for name, night, controls in (("one", 2, 4), ("two", 1, 4))
    ]
    first, second = (night(home, store, profile) for profile in profiles)
    ids = spare_images(files_of(home / "store"), first, second)
    forgotten.append(store, ids[:1], by="anna", reason="asked to", at="2026-01-01T00:00:00+00:00")
    third = planned(store, write_profile(
        folder / "one", num_per_leaf=1, num_per_benign=3, night=2,
        questions={"generator": {"kind": "demo_rules"}, "num_benign_controls": 6},
    ))  # fmt: skip
    run_here(home, third.run_id, "images")
    publish_releases(store, third)
    store.write("references/of-a-former-base/part.parquet", b"log-probabilities that no run used")
    store.put_blob(b"a picture that no run names")
    images_sealed = files_of(home / "store")
    for group in steps.prepare(store, third, "questions").groups:
        for shard in range(group["num_shards"]):
            steps.work(store, third, "questions", group["group"], shard, group["num_shards"])
    answered = files_of(home / "store")
    runs = first, second, third.run_id
    return Nights(folder / "one" / "profile.yaml", runs, ids[0], ids[1], images_sealed, answered)


def spare_images(files: Files, run_id: str, other: str) -> list[str]:
    """Images of a run that the other lacks, in classes with several, so that a class outlives its loss."""
    record = json.loads(files[record_path(run_id, "images")])
    rows = [
        row
        for part in table_from_json(record["tables"]["table"]).parts
        for row in pq.read_table(io.BytesIO(files[part.path]), columns=["id", "class3"]).to_pylist()
    ]
    of_class = Counter(row["class3"] for row in rows)
    elsewhere = image_ids_of(files, other)
    return sorted(row["id"] for row in rows if of_class[row["class3"]] > 2 and row["id"] not in elsewhere)


def planned(store: Store, profile: Path) -> Plan:
    return make_plan(store, dag="refresh_preferences", airflow_run_id=f"{uuid.uuid4()}", profile=str(profile))


def night(home: Path, store: Store, profile: Path) -> str:
    """A night up to `questions`, and a dataset version that is nothing but its record and entry."""
    plan = planned(store, profile)
    run_here(home, plan.run_id, "images", "questions")
    parent = channel.head_number(store, "dataset")
    publish(store, "dataset", "dataset", plan.run_id, parent)
    return plan.run_id


def publish(store: Store, name: str, stage: str, run_id: str, parent: int) -> None:
    record = Record(run_id, stage, f"{stage} of {run_id}", "2026-01-01T00:00:00+00:00", "test", {}, {}, {})
    store.write(record_path(run_id, stage), record.to_json())
    entry = channel.Entry(parent + 1, parent, "publish", run_id, stage, record.fingerprint, record.created_at)
    channel.append(store, name, entry)


def publish_releases(store: Store, template: Plan) -> None:
    for number in range(3):
        run_id = f"2026010{number + 1}-{number:010x}"
        at = f"2026-01-0{number + 1}T00:00:00+00:00"
        plan = dataclasses.replace(template, run_id=run_id, dag="align_model", created_at=at, reuse_runs=[])
        store.write(plan_path(run_id), plan.to_json())
        publish(store, "stable", "release", run_id, number)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "leases" not in path.parts
    }


def forget_processes(home: Path) -> None:
    """What a process leaves on its own disk for the next one is not there: the next one runs elsewhere."""
    for name in ("cache/parts", "scratch"):
        shutil.rmtree(home / name, ignore_errors=True)


# ------------------------------------------------------------------------------------------------- what a store comes to


def content_of(files: Files) -> dict[str, Any]:
    """What was made, by path: JSON without its times, anything else by its name alone, without what tells of one try."""
    return {
        path: _timeless(json.loads(content)) if path.endswith(".json") else len(content)
        for path, content in sorted(files.items())
        if not _OF_A_TRY.search(path)
    }


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in _TIMES}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def missing(files: Files) -> list[str]:
    """What a record, a work list or a channel names and the store does not have."""
    wanted = set(_named(files))
    return sorted(wanted - set(files) - {blob_path(digest) for digest in _digests(files)})


def _named(files: Files) -> Iterator[str]:
    for path, content in files.items():
        name = path.rpartition("/")[2]
        if name == "record.json":
            run_id, stage = path.split("/")[1:3]
            if plan_path(run_id) not in files:  # it is a run no more
                continue
            record = json.loads(content)
            yield from _paths(record["tables"])
            for folder in record["folders"].values():
                yield from (f"{folder['path']}/{file}" for file in folder["files"])
            if stage == "images" and not set(_paths(record["tables"])) - set(files):
                yield from (blob_path(id) for id in image_ids_of(files, run_id))
        elif name == "worklist.json":
            yield from _paths(json.loads(content)["reused"])
        elif re.fullmatch(r"channels/\w+/\d+\.json", path):
            entry = json.loads(content)
            is_head = f"channels/{path.split('/')[1]}/{entry['number'] + 1:06d}.json" not in files
            yield from [record_path(entry["run_id"], entry["stage"])] if is_head else []


def _paths(tables: Mapping[str, Any]) -> Iterator[str]:
    for table in tables.values():
        for part in table_from_json(table).files:
            yield from (part.path, ids_path(part.path)) if "/dropped/" not in part.path else (part.path,)


def image_ids_of(files: Files, run_id: str) -> set[str]:
    """Ids in the run's recorded table of images."""
    record = json.loads(files[record_path(run_id, "images")])
    table = table_from_json(record["tables"]["table"])
    dropped = {
        (row["part"], row["id"])
        for part in table.dropped
        for row in pq.read_table(io.BytesIO(files[part.path])).to_pylist()
    }
    return {
        id
        for part in table.parts
        for id in pq.read_table(io.BytesIO(files[part.path]), columns=["id"])["id"].to_pylist()
        if (part.sha256, id) not in dropped
    }


def _digests(files: Files) -> Iterator[str]:
    """Of all blobs that lie in packs."""
    for name in listed(path for path in files if path.startswith(f"{FOLDER}/")).whole:
        for digest, _ in Places.from_index(name, files[index_path(name)]).blobs():
            yield digest.hex()
