"""The page's plots, as SVG text that needs nothing from outside. Numbers in, SVG out; colours are Okabe and Ito's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from spavl.report.sheet import (
    ALIGNED_COLOUR,
    BASE_COLOUR,
    BENIGN_COLOUR,
    CHAMPION_COLOUR,
    HARM_COLOUR,
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


class Bar(NamedTuple):
    """One bar."""

    label: str
    value: int
    is_benign: bool = False


class Whisker(NamedTuple):
    """A point with its 95 % interval, all shares."""

    value: float
    low: float
    high: float


class Contrast(NamedTuple):
    """One line of the before/after plot; None where that score does not exist."""

    label: str
    base: Whisker | None
    aligned: Whisker | None
    change: Whisker | None  # against base
    champion: Whisker | None = None
    change_champion: Whisker | None = None  # against the release that the channel points to


class Curve(NamedTuple):
    """One line of a training plot."""

    label: str
    steps: Sequence[int]
    values: Sequence[float]
    colour: str
    is_dashed: bool = False


def bars(rows: Sequence[Bar], label: str) -> str:
    """Horizontal bars with their values, in the order given."""
    with style():
        figure = new_figure(0.42 + 0.27 * len(rows))
        axes = figure.add_subplot()
        colours = [BENIGN_COLOUR if row.is_benign else HARM_COLOUR for row in rows]
        drawn = axes.barh(
            [row.label for row in rows], [row.value for row in rows], color=colours, height=0.66
        )
        axes.bar_label(drawn, labels=[f"{row.value:,}" for row in rows], padding=4, color=INK, fontsize=8.5)
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.margins(x=0.08, y=0.02)
        return to_svg(figure, label)


def histogram(counts: Sequence[int], label: str) -> str:
    """Distribution of margins: how many lie in each of the even bins between 0 and 1."""
    with style():
        figure = new_figure(2.3, WIDTH_IN / 2)
        axes = figure.add_subplot()
        edges = [step / len(counts) for step in range(len(counts) + 1)]
        axes.hist(edges[:-1], bins=edges, weights=counts, color=HARM_COLOUR, rwidth=0.92)
        axes.set_xlabel("margin of the chosen answer (0 even, 1 won every asking)")
        axes.set_ylabel("pairs")
        axes.grid(axis="y")
        return to_svg(figure, label)


def contrasts(rows: Sequence[Contrast], label: str) -> str:
    """Base, released model and aligned on the left, the paired changes on the right, each a dot with its 95 % interval."""
    with style():
        figure = new_figure(0.95 + 0.46 * len(rows))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2], gridspec_kw={"wspace": 0.08})
        for place, row in enumerate(rows):
            _whisker(left, row.base, place - 0.2, BASE_COLOUR, "o", "base")
            _whisker(left, row.champion, place, CHAMPION_COLOUR, "s", "released now")
            _whisker(left, row.aligned, place + 0.2, ALIGNED_COLOUR, "D", "aligned")
            _whisker(right, row.change, place - 0.1, BASE_COLOUR, "o", "against base")
            _whisker(right, row.change_champion, place + 0.1, CHAMPION_COLOUR, "s", "against released now")
        _share_axis(left, "share of answers, %", (-0.02, 1.02))
        _share_axis(right, "change, percentage points", None)
        right.axvline(0, color=MUTED, linewidth=1)
        left.set_yticks(range(len(rows)), [row.label for row in rows])
        left.set_ylim(len(rows) - 0.5, -0.5)
        legend(figure, [left, right], 5)
        return to_svg(figure, label)


def curves(panels: Mapping[str, Sequence[Curve]], label: str) -> str:
    """Small multiples over the training step, two to a row."""
    with style():
        num_rows = (len(panels) + 1) // 2
        figure = new_figure(2.15 * num_rows)
        grid = figure.subplots(num_rows, 2, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, lines) in zip(grid, panels.items(), strict=False):
            _panel(axes, title, lines)
        return to_svg(figure, label)


def _panel(axes: Axes, title: str, lines: Sequence[Curve]) -> None:
    axes.set_title(title)
    for line in lines:
        dashes, mark = ("--", "o") if line.is_dashed else ("-", "")
        axes.plot(
            line.steps,
            line.values,
            color=line.colour,
            linestyle=dashes,
            marker=mark,
            markersize=3,
            linewidth=1.6,
            label=line.label,
        )
    axes.grid(True)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("step")
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8)


def _whisker(axes: Axes, whisker: Whisker | None, place: float, colour: str, marker: str, label: str) -> None:
    if whisker is None:
        return
    low, high = max(0.0, whisker.value - whisker.low), max(0.0, whisker.high - whisker.value)
    axes.errorbar(
        whisker.value,
        place,
        xerr=[[low], [high]],
        color=colour,
        marker=marker,
        markersize=5,
        capsize=3,
        linewidth=1.6,
        label=label,
    )


def _share_axis(axes: Axes, label: str, limits: tuple[float, float] | None) -> None:
    axes.set_xlabel(label)
    percent_axis(axes.xaxis)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    if limits:
        axes.set_xlim(*limits)
