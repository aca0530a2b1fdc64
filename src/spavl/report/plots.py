"""The page's plots, as SVG text that needs nothing from outside. Numbers in, SVG out; colours are Okabe and Ito's."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#5f6c7b", "#e4e8ee"
BASE_COLOUR, ALIGNED_COLOUR = "#d55e00", "#0072b2"
HARM_COLOUR, BENIGN_COLOUR = "#7a5195", "#009e73"
WIDTH_IN = 9.6  # the page's column at 100 px per inch

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "spavl",  # element ids are hashes: with a fixed salt the same numbers give the same page
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": "#c3cad3",
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


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
    change: Whisker | None


class Curve(NamedTuple):
    """One line of a training plot."""

    label: str
    steps: Sequence[int]
    values: Sequence[float]
    colour: str
    is_dashed: bool = False


def bars(rows: Sequence[Bar], label: str) -> str:
    """Horizontal bars with their values, in the order given."""
    with _style():
        figure = _figure(0.42 + 0.27 * len(rows))
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
        return _svg(figure, label)


def histogram(values: Sequence[float], label: str) -> str:
    """Distribution of margins between 0 and 1, in eight bins."""
    with _style():
        figure = _figure(2.3, WIDTH_IN / 2)
        axes = figure.add_subplot()
        axes.hist(values, bins=[step / 8 for step in range(9)], color=HARM_COLOUR, rwidth=0.92)
        axes.set_xlabel("margin of the chosen answer (0 even, 1 won every asking)")
        axes.set_ylabel("pairs")
        axes.grid(axis="y")
        return _svg(figure, label)


def contrasts(rows: Sequence[Contrast], label: str) -> str:
    """Base against aligned on the left, their paired change on the right, each a dot with its 95 % interval."""
    with _style():
        figure = _figure(0.95 + 0.46 * len(rows))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2], gridspec_kw={"wspace": 0.08})
        for place, row in enumerate(rows):
            _whisker(left, row.base, place - 0.15, BASE_COLOUR, "o", "base")
            _whisker(left, row.aligned, place + 0.15, ALIGNED_COLOUR, "D", "aligned")
            _whisker(right, row.change, place, INK, "s", "")
        _share_axis(left, "share of answers, %", (-0.02, 1.02))
        _share_axis(right, "change, percentage points", None)
        right.axvline(0, color=MUTED, linewidth=1)
        left.set_yticks(range(len(rows)), [row.label for row in rows])
        left.set_ylim(len(rows) - 0.5, -0.5)
        _legend(left, figure)
        return _svg(figure, label)


def curves(panels: Mapping[str, Sequence[Curve]], label: str) -> str:
    """Small multiples over the training step, two to a row."""
    with _style():
        num_rows = (len(panels) + 1) // 2
        figure = _figure(2.15 * num_rows)
        grid = figure.subplots(num_rows, 2, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, lines) in zip(grid, panels.items(), strict=False):
            _panel(axes, title, lines)
        return _svg(figure, label)


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
    from matplotlib.ticker import FuncFormatter

    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}".replace("-", "−")))
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    if limits:
        axes.set_xlim(*limits)


def _legend(axes: Axes, figure: Figure) -> None:
    handles, labels = axes.get_legend_handles_labels()
    first = {label: handle for label, handle in zip(labels, handles, strict=True) if label}
    figure.legend(first.values(), first.keys(), loc="outside upper right", ncols=2, frameon=False, fontsize=9)


def _style() -> Any:
    import matplotlib

    return matplotlib.rc_context(STYLE)


def _figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def _svg(figure: Figure, label: str) -> str:
    """The figure as an <svg> element with a spoken label; no ids that a second plot would repeat, no outside names."""
    from xml.sax.saxutils import quoteattr

    sheet = io.StringIO()
    figure.savefig(
        sheet, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
    )
    svg = sheet.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    svg = re.sub(r"<svg ", f'<svg role="img" aria-label={quoteattr(label)} ', svg, count=1)
    return re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
