"""`lineage.json`: which data, recipe, judge and code made these weights. Nothing of the machine that made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spavl.artifacts.record import Record

_ADDRESSES = {
    "path",
    "base_url",
    "api_key_env",
}  # where a model lies or is served: of one machine, and not for others


def lineage(
    run_id: str, dataset: Record, training: Record, evaluation: Record, revisions: dict[str, str]
) -> dict[str, Any]:
    """JSON values; `revisions` holds the pinned revision of base and judge by name."""
    records = {"dataset": dataset, "training": training, "evaluation": evaluation}
    return {
        "run_id": run_id,
        "revisions": revisions,
        **{name: _origin(record) for name, record in records.items()},
    }


def without_addresses(value: Any) -> Any:
    """A config without the places where its models lie; a hub id is a name and stays."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in _ADDRESSES or _is_hub_id(key, item)}
        return {key: without_addresses(item) for key, item in kept.items()}
    if isinstance(value, list | tuple):
        return [without_addresses(item) for item in value]
    return value


def _is_hub_id(key: str, value: Any) -> bool:
    is_name = isinstance(value, str) and value.count("/") == 1 and not value.startswith((".", "/", "~"))
    return key == "path" and is_name and not Path(value).exists()


def _origin(record: Record) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "fingerprint": record.fingerprint,
        "created_at": record.created_at,
        "code_version": record.code_version,
        "config": without_addresses(record.config),
        "inputs": record.inputs,
        "counts": record.counts,
        "details": without_addresses(
            {key: value for key, value in record.details.items() if key != "channel_entry"}
        ),
        "check": {key: record.check.get(key) for key in ("suite", "sha256", "passed", "num_rows")},
    }
