"""Rates as dots with their 95 % intervals, a line per slice, wording or task. Numbers in, SVG out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from spavl.report.plots import Whisker
from spavl.report.sheet import (
    ALIGNED_COLOUR,
    BASE_COLOUR,
    CHAMPION_COLOUR,
    FAILED_COLOUR,
    INCONCLUSIVE_COLOUR,
    INK,
    MUTED,
    WIDTH_IN,
    legend,
    new_figure,
    percent_axis,
    style,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETTLED, OPEN, OVER = "settled", "open", "over"  # below the limit; on both sides of it; surely above it
SERIES = {"base": "base", "champion": "released now", "aligned": "aligned"}  # role of a model -> its series
LOOKS = {  # series -> (colour, marker)
    "base": (BASE_COLOUR, "o"),
    "released now": (CHAMPION_COLOUR, "s"),
    "aligned": (ALIGNED_COLOUR, "D"),
    "rule on words": (INK, "|"),
}
STANDINGS = {  # of the aligned model -> (words, colour, marker, is filled): never told by colour alone
    SETTLED: ("aligned", ALIGNED_COLOUR, "D", True),
    OPEN: ("aligned, too few prompts to tell", INCONCLUSIVE_COLOUR, "^", False),
    OVER: ("aligned, surely above the limit", FAILED_COLOUR, "X", True),
}
ROW_IN = 0.4


class Row(NamedTuple):
    """One line: a dot per series that measured it."""

    label: str
    dots: Mapping[str, Whisker]  # a key of LOOKS -> the rate
    standing: str = SETTLED  # of the aligned model
    note: str = ""  # at the right, such as n


def rates(rows: Sequence[Row], label: str, *, axis: str, limit: float | None = None) -> str:
    """One line per row, in the order given, with the limit as an upright line."""
    with style():
        figure = new_figure(0.85 + ROW_IN * len(rows))
        axes = figure.add_subplot()
        _draw_limit(axes, limit)
        for place, row in enumerate(rows):
            _draw_row(axes, row, place)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel(axis)
        percent_axis(axes.xaxis)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        legend(figure, [axes], 4)
        return to_svg(figure, label)


def leaves(rows: Sequence[Row], label: str, *, axis: str, limit: float | None = None) -> str:
    """Many small slices of one series side by side, worst left: names are in the table, the picture shows the spread."""
    with style():
        figure = new_figure(2.5)
        axes = figure.add_subplot()
        if limit is not None:
            axes.axhline(limit, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="limit of the gate")
        for place, row in enumerate(rows):
            words, colour, marker, is_filled = STANDINGS[row.standing]
            _dot(axes, row.dots["aligned"], place, (colour, marker), words, is_filled, is_upright=True)
        axes.set_xticks([])
        axes.set_xlim(-0.8, max(1, len(rows)) - 0.2)
        axes.set_ylim(-0.04, 1.04)
        axes.set_ylabel(axis)
        percent_axis(axes.yaxis)
        axes.grid(axis="y")
        legend(figure, [axes], 4)
        return to_svg(figure, label)


def _draw_row(axes: Axes, row: Row, place: int) -> None:
    for number, (series, look) in enumerate(LOOKS.items()):
        if whisker := row.dots.get(series):
            words, is_filled = series, True
            if series == "aligned":
                words, *look_of, is_filled = STANDINGS[row.standing]
                look = (str(look_of[0]), str(look_of[1]))
            _dot(axes, whisker, place + 0.2 * (number - 1), look, words, is_filled)
    if row.note:
        axes.annotate(row.note, (1.0, place), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points", va="center", color=MUTED, fontsize=8)  # fmt: skip


def _dot(
    axes: Axes,
    whisker: Whisker,
    place: float,
    look: tuple[str, str],
    words: str,
    is_filled: bool,
    *,
    is_upright: bool = False,
) -> None:
    colour, marker = look
    spread = [[max(0.0, whisker.value - whisker.low)], [max(0.0, whisker.high - whisker.value)]]
    at = (place, whisker.value) if is_upright else (whisker.value, place)
    axes.errorbar(
        *at,
        **{"yerr" if is_upright else "xerr": spread},  # type: ignore[arg-type]
        color=colour,
        marker=marker,
        markersize=10 if marker == "|" else 5,
        markeredgewidth=2 if marker == "|" else 1,
        markerfacecolor=colour if is_filled else "white",
        capsize=2,
        linewidth=1.2,
        linestyle="none",
        label=words,
    )


def _draw_limit(axes: Axes, limit: float | None) -> None:
    if limit is not None:
        axes.axvline(limit, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="limit of the gate")


def shares(rows: Sequence[Row], label: str) -> str:
    """Horizontal bars of shares with a note at their right."""
    with style():
        figure = new_figure(0.3 + 0.26 * len(rows), WIDTH_IN * 0.75)
        axes = figure.add_subplot()
        values = [row.dots["aligned"].value for row in rows]
        drawn = axes.barh(range(len(rows)), values, color=ALIGNED_COLOUR, height=0.62)
        notes = [f"{100 * value:.0f} %  {row.note}".rstrip() for value, row in zip(values, rows, strict=True)]
        axes.bar_label(drawn, labels=notes, padding=4, color=INK, fontsize=8.5)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.25)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        return to_svg(figure, label)
