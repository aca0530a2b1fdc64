"""What of a run is done already, asked of the store before anything is started: a process takes seconds, a pod up to 20.

A sealed stage, a work list that is committed, and a group whose parts are all there are not begun again. A dataset version or
a release whose channel entry a kill left unmade is: its `seal` is started once more, and makes the entry.
"""

from __future__ import annotations

import math

from spavl.artifacts import channel
from spavl.artifacts.record import Record, stage_folder
from spavl.artifacts.store import Store
from spavl.outcome import Outcome
from spavl.plan import Plan
from spavl.run import StageRun, work_list
from spavl.run.work_list import Group, WorkList


def finished(store: Store, plan: Plan, stage: str, step: str, group: str | None = None) -> Outcome | None:
    """The outcome of a step that has nothing left to do, or None: start it.

    `work` is that of all shards of `group`. Raises what the step itself would: UserError if the record was made from other
    inputs or the work list by a former version, TryAgain if the store does not answer.
    """
    run = StageRun(store, plan, stage)
    if outcome := run.settled(step):
        return outcome if step != "seal" or _is_published(store, plan, run.record()) else None
    known = work_list.read(store, plan.run_id, stage) if step != "seal" else None
    if known is None:
        return None
    if step == "prepare":
        return _prepared(run, known)
    listed = next((one for one in known.groups if one.group == group), None)
    return _worked(run, listed) if listed else None


def _is_published(store: Store, plan: Plan, record: Record | None) -> bool:
    """Whether the entry that follows from a sealed stage is there; True for a stage that has none."""
    if record is None or record.stage not in ("dataset", "release"):
        return True
    name = plan.config[record.stage]["channel"]
    entry = channel.entry_of(store, name, plan.heads[name] + 1)
    return entry is not None and (entry.run_id, entry.fingerprint) == (record.run_id, record.fingerprint)


def _prepared(run: StageRun, known: WorkList) -> Outcome:
    counts = {"items": known.num_items, "reused": known.num_reused}
    counts["to_do"] = known.num_items - known.num_reused
    return run.outcome("prepare", verdict="already done", counts=counts, groups=known.outcome_groups())


def _worked(run: StageRun, group: Group) -> Outcome | None:
    chunk_size = getattr(run.config, "chunk_size", 1)
    folder = f"{stage_folder(run.plan.run_id, run.stage)}/parts/{group.group}"
    parts = [path for path in run.store.walk(folder) if path.endswith(".parquet")]
    if len(parts) < math.ceil(group.num_items / chunk_size):
        return None
    counts = {"computed": 0, "resumed": group.num_items}
    return run.outcome("work", verdict="already done", counts=counts)
