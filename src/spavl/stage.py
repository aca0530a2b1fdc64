"""What a stage is: the three functions its `stage.py` gives, and the words they are written in.

    prepare(context)                -> list[WorkItem]        what there is to do; sharded stages only
    work(context, group, chunks)    -> iterator of rows      one row of type PART per item, matched by id, in any order
    seal(context, rows)             -> Sealed                the rows of all shards become the table that is checked and recorded

with the constants `PART` and `TABLE` (row types of records.py) and, where it asks models, prompts with a version. The
runner owns everything else: work list, reuse, chunks, part files, resuming, locks, checks, records. A stage reads nothing
but its context, and has no clock, no paths of its own and no randomness but seeds from its config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from spavl.artifacts.record import Record
    from spavl.artifacts.store import Store
    from spavl.config import Config, Section


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One thing to do; its id is the id of the row that answers it."""

    id: str
    group: str  # items of one group are done by one process: one per model
    payload: Mapping[str, Any] = field(
        default_factory=dict
    )  # JSON values: what `work` needs to know, ids not content


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive items of one shard that become one part file; always the same items, however often it is restarted."""

    number: int
    items: Sequence[WorkItem]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What `seal` gives the runner: the table to check and record, and what goes beside it."""

    rows: Sequence[Any]  # of the stage's TABLE type
    counts: Mapping[str, int] = field(
        default_factory=dict
    )  # shown in the outcome line, the record and the report
    side_tables: Mapping[str, Sequence[Any]] = field(
        default_factory=dict
    )  # name -> rows, for instance quarantine
    folders: Mapping[str, Path] = field(
        default_factory=dict
    )  # name -> local folder, uploaded as <stage>/<name>/
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON, kept in the record
    measures: Mapping[str, float | None] = field(
        default_factory=dict
    )  # numbers over the whole table that the suite may limit, declared in validation/measures.py


class StageContext(Protocol):
    """Everything a stage may touch."""

    run_id: str
    config: Config  # the whole resolved config
    store: Store
    scratch: Path  # an empty local folder of this process, removed when it ends well
    references: Mapping[
        str, Mapping[str, str]
    ]  # role -> {run_id, fingerprint} of an earlier release to compare with

    def section(self) -> Section:
        """This stage's own section of the config."""
        ...

    def record(self, stage: str) -> Record:
        """The record of a stage this one reads, of this run or of the run the plan names."""
        ...

    def rows(self, stage: str) -> list[Any]:
        """The rows of a stage this one reads, in the order of its table."""
        ...

    def revision(self, model_name: str) -> str:
        """The pinned revision of a model of the config, as the plan resolved it (a hash of the files for a folder)."""
        ...

    def previous(self, stage: str) -> Record | None:
        """The stage's record in the run of the former dataset version (of the former release, for the stages of align_model), if there is one."""
        ...

    def reference(self, role: str, stage: str) -> Record:
        """The stage's record in the run of the earlier release that has this role in `references`."""
        ...

    def decision_number(self) -> int:
        """The number of this run's decision since the last release, from 1; taken on the first call, and then the same."""
        ...

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Report progress; rate-limited, shown as a bar on a terminal and as lines elsewhere."""
        ...


class StageModule(Protocol):
    """What `spavl.<stage>.stage` provides; PART, prepare and work only where the stage is sharded."""

    PART: type
    TABLE: type
    prepare: Callable[[StageContext], list[WorkItem]]
    work: Callable[[StageContext, str, Iterator[Chunk]], Iterator[Any]]
    seal: Callable[[StageContext, list[Any]], Sealed]
