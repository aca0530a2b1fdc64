"""The record of an artifact: what was made, from what, and how it was checked. An artifact exists if its record does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spavl.artifacts.store import Store

if TYPE_CHECKING:
    import pyarrow as pa


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
    tables: dict[str, dict[str, Any]]  # name ("table" is the stage's own) -> parts.Table as JSON
    folders: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # name -> {path, files: {relative: {sha256, num_bytes}}}
    counts: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    check: dict[str, Any] = field(default_factory=dict)  # the suite's report: name, sha256, results
    requests: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # step -> requests sent to S3 by kind, of all of its processes; empty for a disk

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
    """The rows of one of the record's tables, checksums verified: for tables that are small."""
    from spavl.artifacts.engine import small_engine
    from spavl.artifacts.parts import table_of

    with small_engine(store) as engine:
        return list(
            engine.rows(engine.relation_of(table_of(record, name), row_type, is_ordered=True), row_type)
        )


def read_columns(store: Store, record: Record, names: Sequence[str], table: str = "table") -> pa.Table:
    """Those of the columns that the recorded table has, whatever version of spavl made it, in the order of its rows."""
    from spavl.artifacts.engine import small_engine
    from spavl.artifacts.parts import table_of

    with small_engine(store) as engine:
        relation = engine.relation_of(table_of(record, table), is_ordered=True)
        return relation.select(*(name for name in names if name in relation.columns)).to_arrow_table()
