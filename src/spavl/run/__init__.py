"""One step of one stage as a transaction: `prepare` → shards of `work` → `seal`. Each step is one file that reads top to bottom.

An artifact exists if and only if its record exists. Parts become visible whole and keyed by id, the record is written
last, a failed check publishes nothing and keeps its evidence. Killed at any moment and started again, a step redoes at
most the chunk it was in.
"""

from spavl.run.prepare import prepare
from spavl.run.seal import seal
from spavl.run.stage_run import StageRun
from spavl.run.work import work

__all__ = ["StageRun", "prepare", "seal", "work"]
