"""The record of an artifact: what was made, from what, and how it was checked. An artifact exists if its record does."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from dataclasses import dataclass, field
from typing import Any

from spavl.artifacts.store import Store
from spavl.errors import UserError


@dataclass(frozen=True)
class Record:
    """`runs/<run_id>/<stage>/record.json`, written last."""

    run_id: str
    stage: str
    fingerprint: (
        str  # over inputs, config section, suite and schema: the same inputs give the same fingerprint
    )
    created_at: str  # UTC, ISO 8601
    code_version: str
    config: dict[str, Any]  # the stage's section, resolved
    inputs: dict[str, dict[str, str]]  # stage read -> {run_id, fingerprint}
    tables: dict[
        str, dict[str, Any]
    ]  # name ("table" is the stage's own) -> {path, row_type, num_rows, sha256}
    folders: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # name -> {path, files: {relative: {sha256, num_bytes}}}
    counts: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    check: dict[str, Any] = field(default_factory=dict)  # the suite's report: name, sha256, results

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()


def stage_folder(run_id: str, stage: str) -> str:
    """Everything of one stage of one run lies here."""
    return f"runs/{run_id}/{stage}"


def record_path(run_id: str, stage: str) -> str:
    return f"{stage_folder(run_id, stage)}/record.json"


def read_record(store: Store, run_id: str, stage: str) -> Record | None:
    """The record, or None where the artifact does not exist."""
    try:
        return Record(**json.loads(store.read(record_path(run_id, stage))))
    except FileNotFoundError:
        return None


def read_rows(store: Store, record: Record, row_type: type, name: str = "table") -> list[Any]:
    """The rows of one of the record's tables, checksum verified."""
    import pyarrow.parquet as pq

    from spavl.records import from_table

    return from_table(pq.read_table(open_verified(store, record, name)), row_type)


def open_verified(store: Store, record: Record, name: str = "table") -> io.BytesIO:
    """The bytes of one of the record's tables; raises UserError where they are not the recorded ones."""
    entry = record.tables[name]
    content = store.read(entry["path"])
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise UserError(
            f"{store.url_of(entry['path'])} is damaged: its sha256 is not the recorded one.",
            next_step="Start a new run.",
        )
    return io.BytesIO(content)
