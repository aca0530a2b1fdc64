"""Which expectations look at which frame, so that a check of a large table holds a few columns, or some of the rows, at a time.

Four kinds of expectation need four kinds of frame. What asks only for the least or the greatest of a measure needs one row,
for a measure is the same in every row. What judges each row by itself sees the rows slice by slice. What asks which rows have
the same values sees them bucket by bucket: all rows with one value are in one bucket. All others (means, numbers of different
values) see their columns whole. If an expectation asks only which values are the same, a text column with many values comes
as numbers, one for each.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from spavl.validation.catalogue import EXPECTATION_TYPES
from spavl.validation.suite import Expectation

_COMPARE_WITH_WORDS = {"expect_column_values_to_be_in_set", "expect_column_values_to_not_be_in_set"}
_OF_ONE_ROW = {f"expect_column_{name}_to_be_between" for name in ("min", "max", "median")}


@dataclass
class Frame:
    """Columns, and the expectations (by number in the suite) that look at them."""

    numbers: list[int] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)  # an ordered set
    ranked: frozenset[str] = frozenset()  # text columns that may come as ranks
    read: set[str] = field(default_factory=set)  # columns whose values an expectation takes one by one
    compared: tuple[str, ...] = ()  # if rows are compared by these together, they may come bucket by bucket

    @property
    def named(self) -> frozenset[str]:
        """Columns that are only compared with words of the suite, or among themselves: they may come as categories."""
        return frozenset(self.columns.keys() - self.read)

    def put(self, number: int, expectation: Expectation) -> None:
        """Have this expectation look at the frame too."""
        self.numbers.append(number)
        self.columns |= dict.fromkeys(columns_of(expectation))
        if not _only_compares(expectation):
            self.read |= set(expectation.columns)


@dataclass(frozen=True)
class FramePlan:
    """Every expectation of a suite is in exactly one of the frames."""

    constant: Frame  # one row
    sliced: tuple[Frame, ...]
    bucketed: tuple[Frame, ...]
    whole: tuple[Frame, ...]


def frame_plan(
    expectations: Sequence[Expectation],
    long_columns: Set[str],
    constants: Set[str],
    max_columns: int,
) -> FramePlan:
    """`long_columns` are text columns with many different values, `constants` the columns that are the same in every row.

    A frame of whole columns has at most `max_columns`, unless one expectation needs more.
    """
    constant, bucketed, ranking, others = Frame(), [], [], []
    sliced: dict[frozenset[str], Frame] = {}
    for number, expectation in enumerate(expectations):
        kind = EXPECTATION_TYPES[expectation.type]
        ranked = long_columns & set(expectation.columns) - set(expectation.row_condition)
        if expectation.type in _OF_ONE_ROW and constants >= set(columns_of(expectation)):
            constant.put(number, expectation)
        elif kind.counts_rows and not kind.compares_values:
            # a text is copied whenever a condition picks rows of its frame, so what reads texts looks alone
            texts = long_columns & set(expectation.columns)
            sliced.setdefault(frozenset(texts), Frame()).put(number, expectation)
        elif kind.compares_values and ranked:  # a frame of its own: every rank is a sort of the rows
            frame = Frame(ranked=frozenset(ranked), compared=expectation.columns if kind.counts_rows else ())
            frame.put(number, expectation)
            (bucketed if kind.counts_rows else ranking).append(frame)
        else:
            _first_with_room(others, expectation, max_columns).put(number, expectation)
    return FramePlan(constant, tuple(sliced.values()), tuple(bucketed), (*others, *ranking))


def columns_of(expectation: Expectation) -> tuple[str, ...]:
    """All columns that a frame must have for it."""
    return (*expectation.columns, *expectation.row_condition)


def _first_with_room(frames: list[Frame], expectation: Expectation, max_columns: int) -> Frame:
    """The first frame that has the columns already or has room for them; a new one if there is none."""
    needed = dict.fromkeys(columns_of(expectation))
    for frame in frames:
        if len(frame.columns | needed) <= max(max_columns, len(frame.columns)):
            return frame
    frames.append(Frame())
    return frames[-1]


def _only_compares(expectation: Expectation) -> bool:
    return EXPECTATION_TYPES[expectation.type].compares_values or expectation.type in _COMPARE_WITH_WORDS
