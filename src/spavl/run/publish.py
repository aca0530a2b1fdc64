"""The channel entry of a dataset version or a release; its content follows from plan and record alone."""

from __future__ import annotations

from spavl.artifacts import channel
from spavl.artifacts.record import Record
from spavl.artifacts.store import Store
from spavl.plan import Plan, alignment_key_of


def publish(store: Store, plan: Plan, record: Record) -> None:
    """Append the entry, if the stage has one; the same entry again is success."""
    if record.stage not in ("dataset", "release"):
        return
    name = plan.config[record.stage]["channel"]
    details = dict(record.details.get("channel_entry", {}))
    if record.stage == "dataset":
        details[channel.COUNTS] = record.counts
    if record.stage == "release":
        details[channel.ALIGNMENT_KEY] = alignment_key_of(plan)
        details["dataset_run"] = plan.inputs["dataset"]["run_id"]
    parent = plan.heads[name]
    channel.append(
        store,
        name,
        channel.Entry(
            parent + 1,
            parent,
            "publish",
            plan.run_id,
            record.stage,
            record.fingerprint,
            record.created_at,
            details=details,
        ),
    )
