"""What a stage is: the three functions its `stage.py` gives, and the words they are written in.

    prepare(context)                -> Items, or WorkItems   what there is to do; sharded stages only
    work(context, group, chunks)    -> iterator of rows      one row of type PART per item, matched by id, in any order
    seal(context, answered)         -> Sealed                the rows of all shards become the table that is checked and recorded

with the constant `PART`, the type of those rows, and prompts with a version if it asks models. The type of its table is what the
map names, in its `rows.py`. The runner owns everything else: work list, reuse, chunks, part files, resuming, locks, checks, records. A stage reads nothing
but its context, and has no clock, no paths of its own and no randomness but seeds from its config. It reads tables as
relations (`context.tables`) and makes row objects only of the chunk in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from spavl.artifacts.engine import Relation
    from spavl.artifacts.record import Record
    from spavl.artifacts.store import Store
    from spavl.config import Section
    from spavl.config.root import Config


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One thing to do; its id is the id of the row that answers it."""

    id: str
    group: str  # items of one group are done by one process: one per model
    payload: Mapping[str, Any] = field(
        default_factory=dict
    )  # JSON values: all that `work` needs to make the request, so that a shard opens nothing but its own list
    table: str = "table"  # where its row goes: the stage's table, or a side table of that name


@dataclass(frozen=True, slots=True)
class Items:
    """A work list as the engine makes it: columns `id` and `group`, `table` if rows go to a side table too, and the payload's."""

    relation: Relation
    order: tuple[str, ...]  # the columns that the list is sorted by


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive items of one shard that become one part file; always the same items, however often it is restarted."""

    number: int
    items: Sequence[WorkItem]


@dataclass(frozen=True, slots=True)
class Derived:
    """A side table that the engine makes."""

    relation: Relation
    row_type: type
    order: str = ""  # SQL expressions that it is sorted by, if the relation itself has no order


class Answered(Protocol):
    """The rows of all shards and the reused ones: exactly one per item of the list, in its order group by group."""

    def num_rows(self, table: str = "table") -> int: ...

    def relation(self, table: str = "table") -> Relation:
        """Those whose items go to this table."""
        ...

    def rows(self, table: str = "table") -> list[Any]:
        """The same as row objects, for stages whose tables are small."""
        ...


class Tables(Protocol):
    """The tables that a stage reads, as lazy relations. A view is a relation with a name, which SQL refers to."""

    def open(self, stage: str, name: str = "table", *, view: str | None = None) -> Relation:
        """A table of a stage that this one reads; also a view, named as the stage or as `view` says."""
        ...

    def former(self, stage: str, name: str = "table", *, view: str | None = None) -> Relation | None:
        """The same of the run that `StageContext.previous` names, whatever its columns; `former_<stage>` unless `view` says."""
        ...

    def view(self, name: str, content: Relation | pa.Table | str) -> Relation:
        """Give a relation, an Arrow table or a SELECT a name."""
        ...

    def sql(self, query: str) -> Relation: ...

    def function(self, name: str, of_texts: Callable[[pa.ChunkedArray], pa.Array]) -> None:
        """Give SQL a function of one text, never NULL, that Python computes thousands of rows at a time."""
        ...

    def value(self, query: str) -> Any:
        """The one value of a query of one row and one column."""
        ...

    def rows(self, relation: Relation, row_type: type) -> Iterator[Any]:
        """Row objects, made batch by batch."""
        ...

    def batches(self, relation: Relation) -> Iterator[pa.RecordBatch]: ...

    def in_sorted_order(self, query: str, order: str) -> Iterator[pa.Table]:
        """The rows of a SELECT with a unique `id`, by the SQL expressions of `order`: for rows too wide and many for ORDER BY."""
        ...


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file that the store has already."""

    source: str  # path in the store
    sha256: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """What `seal` gives the runner: the table to check and record, and what goes beside it."""

    rows: (
        Sequence[Any] | Relation | None
    )  # of the type of the stage's table; None: the answered rows, as they are
    counts: Mapping[str, int] = field(
        default_factory=dict
    )  # shown in the outcome line, the record and the report
    side_tables: Mapping[str, Sequence[Any] | Derived] = field(
        default_factory=dict
    )  # name -> rows, for instance quarantine
    folders: Mapping[str, Path] = field(
        default_factory=dict
    )  # name -> local folder, uploaded as <stage>/<name>/
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON, kept in the record
    measures: Mapping[str, float | None] = field(
        default_factory=dict
    )  # numbers over the whole table that the suite may limit, declared in the stage's measures.py
    copied: Mapping[str, Mapping[str, CopiedFile]] = field(
        default_factory=dict
    )  # folder -> relative path -> a file that goes there too by `store.copy`, never read
    order: str = ""  # SQL expressions that a relation in `rows` is sorted by: its rows may be wide and many
    finished: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # folder -> relative path -> sha256 of a file in it that nobody writes again: not read for it, and linked on one disk


class StageContext(Protocol):
    """Everything a stage may touch."""

    run_id: str
    home: str  # SPAVL_HOME where the run was planned: ids leave it out of the config's paths (`config.portable.home_free`)
    config: Config  # the whole resolved config
    store: Store
    tables: Tables
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
        """The rows of a stage this one reads, in the order of its table; for small tables, others are `tables.open`."""
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

    @property
    def forgotten(self) -> frozenset[str]:
        """Ids of images that must not come back, nor anything that came from them (`spavl forget`)."""
        ...

    def decision_number(self) -> int:
        """The number of this run's decision since the last release, from 1; taken on the first call, and then the same."""
        ...

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Report progress; rate-limited, shown as a bar on a terminal and as lines elsewhere."""
        ...


class StageModule(Protocol):
    """What a stage's `stage.py` provides; PART, prepare and work only if the stage is sharded."""

    PART: type
    prepare: Callable[[StageContext], Items | Iterable[WorkItem]]
    work: Callable[[StageContext, str, Iterator[Chunk]], Iterator[Any]]
    seal: Callable[[StageContext, Answered], Sealed]
