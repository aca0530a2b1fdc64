"""A store with many former nights, made of the small files that a plan reads."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

from tests.counted_s3 import put_files

from spavl.artifacts import channel
from spavl.artifacts.channel import Entry
from spavl.artifacts.record import Record, record_path
from spavl.artifacts.standing import HELP, UNSAFE
from spavl.former_runs import MOST_KEPT
from spavl.plan import plan_path

FIRST_NIGHT = datetime.datetime(2025, 5, 1, 3, 0, tzinfo=datetime.UTC)
DATASET_COUNTS = {"test_harm": 900, "test_help": 900, "images_test": 600}
REFRESH, ALIGN = "refresh_preferences", "align_model"


def run_id(dag: str, number: int) -> str:
    """Of the night of this number, from 0; a refresh and an alignment have one date."""
    date = FIRST_NIGHT + datetime.timedelta(days=number)
    return f"{date:%Y%m%d}-{'f' if dag == REFRESH else 'a'}{number:09x}"


class Nights:
    """Files by path, read and made as a Store does: what `num` nights leave, in the order in which a line leaves it.

    Those of a former version have no standing, no index, and plans that do not name the runs before them.
    """

    def __init__(self, template: dict[str, Any], num: int, *, num_former: int = 0) -> None:
        self.files: dict[str, bytes] = {}
        self._template = template
        self._earlier: dict[str, list[list[str]]] = {REFRESH: [], ALIGN: []}
        for number in range(num):
            is_former = number < num_former
            self._plan(REFRESH, number, 0, is_former)
            self._publish(
                "dataset",
                "dataset",
                run_id(REFRESH, number),
                number,
                {"pairs": 9, "counts": DATASET_COUNTS},
                is_former,
            )
            self._plan(ALIGN, number, 2, is_former)
            self.create(f"channels/stable/decisions/{number:06d}/000001.json", b'{"run_id": "x"}')
            details = {"scores": {UNSAFE: 0.1 + number / 1000, HELP: 0.9}, "alignment_key": f"{number:032x}"}
            self._publish("stable", "release", run_id(ALIGN, number), number, details, is_former)

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def create(self, path: str, content: bytes) -> bool:
        return self.files.setdefault(path, content) == content

    def names(self, path: str) -> list[str]:
        inside = (name.removeprefix(f"{path}/") for name in self.files if name.startswith(f"{path}/"))
        return sorted({name.partition("/")[0] for name in inside})

    def write_to(self, folder: Path) -> None:
        """As a store on disk."""
        for path, content in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

    def put_into(self, bucket: str, prefix: str) -> None:
        """As a store in a bucket of a moto server in this process, without a request."""
        put_files(bucket, prefix, self.files)

    def _plan(self, dag: str, number: int, hour: int, is_former: bool) -> None:
        at = (FIRST_NIGHT + datetime.timedelta(days=number, hours=hour)).isoformat(timespec="microseconds")
        values = {**self._template, "run_id": run_id(dag, number), "dag": dag, "created_at": at}
        values |= {"airflow_run_id": f"night {number}"}
        values["earlier"] = {name: runs[:MOST_KEPT] for name, runs in self._earlier.items()}
        if is_former:
            del values["earlier"], values["home"]
        self.create(plan_path(values["run_id"]), json.dumps(values).encode())
        self._earlier[dag].insert(0, [values["run_id"], at])

    def _publish(
        self, name: str, stage: str, run: str, number: int, details: dict[str, Any], is_former: bool
    ) -> None:
        at = (FIRST_NIGHT + datetime.timedelta(days=number, hours=1 if stage == "dataset" else 3)).isoformat()
        entry = Entry(number + 1, number, "publish", run, stage, f"{stage} {number}", at, details=details)
        if stage == "dataset":
            record = Record(run, stage, entry.fingerprint, "2025", "0", {}, {}, {}, counts=DATASET_COUNTS)
            self.create(record_path(run, stage), record.to_json())
        if is_former:
            content = {key: value for key, value in dataclasses.asdict(entry).items() if key != "standing"}
            content["details"] = {key: value for key, value in details.items() if key != "counts"}
            self.create(channel.entry_path(name, entry.number), json.dumps(content).encode())
        else:
            channel.append(self, name, entry)  # type: ignore[arg-type]
