"""A stage's judge on trial: tonight's gold rows among its ordinary items, and last night's trial to compare with.

A gold row is asked as any other item, so `work` knows nothing of it: only the item's table says where its answer goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from spavl.judging.gold import Gold, keep_gold, kept_gold
from spavl.records import arrow_schema
from spavl.stage import StageContext
from spavl.stages.comparisons.rows import ComparisonTrial, GoldPair
from spavl.stages.judgements.rows import GoldItem, JudgeTrial

if TYPE_CHECKING:
    import pyarrow as pa

GOLD = "gold"  # in columns that name a model: none of the profile gave these responses
ANSWERED = "gold_answered"  # the table that the answers go to
Known = TypeVar("Known", GoldItem, GoldPair)
Trial = TypeVar("Trial", JudgeTrial, ComparisonTrial)


@dataclass(frozen=True)
class Askings(Generic[Known]):
    """Every gold row of tonight in every way that it is asked (the mode of an item, the order of a pair), by tonight's id."""

    by_id: Mapping[str, tuple[Known, str]]

    @classmethod
    def kept(
        cls,
        ctx: StageContext,
        stage: str,
        row_type: type[Known],
        ways: Sequence[str],
        id_of: Callable[[Known, str], str],
    ) -> Askings[Known]:
        """Those that `keep_tonights` kept; raises UserError if that run has none."""
        rows = kept_gold(ctx.store, ctx.run_id, stage, row_type).values()
        return cls({id_of(row, way): (row, way) for row in rows for way in ways})

    def table(self, columns: Sequence[str], values: Callable[[Known, str], Sequence[str]]) -> pa.Table:
        """`id` and the named columns, all texts; `values` gives them of one asking."""
        import pyarrow as pa

        found = [(id, *values(row, way)) for id, (row, way) in self.by_id.items()]
        names = ("id", *columns)
        arrays = [pa.array([row[number] for row in found], pa.string()) for number in range(len(names))]
        return pa.Table.from_arrays(arrays, names=list(names))


def keep_tonights(
    ctx: StageContext, stage: str, row_type: type[Known], made: Callable[[Gold], Sequence[Known]]
) -> None:
    """Make tonight's gold rows of the views `images` and `questions`, and keep them for seal and for evaluation."""
    gold = Gold.of_night(ctx.tables, ctx.config.judgements.gold, ctx.store)
    keep_gold(ctx.store, ctx.run_id, stage, made(gold), row_type)


def former_trials(ctx: StageContext, stage: str, row_type: type[Trial]) -> Iterable[Trial]:
    """The trial of the former dataset version's night; none if there was none, or if it had other columns."""
    former = ctx.tables.former(stage, "gold", view="former_gold")
    if former is None:
        return []
    found = former.limit(0).to_arrow_table().schema
    expected = arrow_schema(row_type)
    if (found.names, found.types) != (expected.names, expected.types):
        return []  # made by a version of spavl with other columns
    return ctx.tables.rows(former, row_type)
