"""What every plot is drawn on: style, sizes, colours (Okabe and Ito's), and the way to SVG text that needs nothing from outside."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#5f6c7b", "#e4e8ee"
BASE_COLOUR, ALIGNED_COLOUR, CHAMPION_COLOUR = "#d55e00", "#0072b2", "#4d4d4d"
HARM_COLOUR, BENIGN_COLOUR = "#7a5195", "#009e73"
FAILED_COLOUR, INCONCLUSIVE_COLOUR = "#a4161a", "#b36b00"
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


def style() -> Any:
    """The context in which a figure is made and saved."""
    import matplotlib

    return matplotlib.rc_context(STYLE)


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """An empty figure without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def percent_axis(axis: Any) -> None:
    """Ticks of a share or of a change of shares, in per cent or points."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 1):g}".replace("-", "−")))


def legend(figure: Figure, panels: Sequence[Axes], num_columns: int = 2) -> None:
    """One legend for the whole figure: every label of its panels, once."""
    first: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            first.setdefault(label, handle)
    first.pop("", None)
    if first:
        figure.legend(
            first.values(),
            first.keys(),
            loc="outside upper right",
            ncols=num_columns,
            frameon=False,
            fontsize=9,
        )


def to_svg(figure: Figure, label: str) -> str:
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
