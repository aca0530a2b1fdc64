"""The history page's plots: one place per run on the horizontal axis, oldest left. Numbers in, SVG out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from spavl.report.plots import Whisker
from spavl.report.sheet import (
    ALIGNED_COLOUR,
    BASE_COLOUR,
    BENIGN_COLOUR,
    CHAMPION_COLOUR,
    FAILED_COLOUR,
    HARM_COLOUR,
    INCONCLUSIVE_COLOUR,
    INK,
    MUTED,
    legend,
    new_figure,
    percent_axis,
    style,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIN_WINDOW = 0.2  # of a panel of shares: noise of a point or two must not look like a cliff
MAX_DATES = 7  # labels under one of two panels side by side
ENDINGS = {  # how a candidate's run ended -> (words, colour, marker, is filled): never told by colour alone
    "released": ("released", ALIGNED_COLOUR, "D", True),
    "failed": ("failed the gate", FAILED_COLOUR, "X", True),
    "inconclusive": ("inconclusive", INCONCLUSIVE_COLOUR, "^", False),
    "rejected": ("rejected by a person", HARM_COLOUR, "s", True),
    "waiting": ("not decided yet", MUTED, "o", False),
}
SERIES = (BENIGN_COLOUR, HARM_COLOUR, ALIGNED_COLOUR, BASE_COLOUR, CHAMPION_COLOUR, "#cc79a7", "#56b4e9")


class Candidate(NamedTuple):
    """One alignment's figure."""

    ending: str  # a key of ENDINGS
    aligned: Whisker | None
    base: Whisker | None
    champion: Whisker | None  # the release of that time, on the same prompts of that night


class Series(NamedTuple):
    """One line over the runs; None where a run did not measure it."""

    label: str
    values: Sequence[Whisker | float | None]


def candidates(
    panels: Mapping[str, Sequence[Candidate]], dates: Sequence[str], rollbacks: Sequence[float], label: str
) -> str:
    """Each panel: candidates as dots with 95 % intervals, base and released model as lines; rollbacks are upright lines."""
    with style():
        num_rows = (len(panels) + 1) // 2
        figure = new_figure(0.35 + 2.2 * num_rows)
        grid = figure.subplots(num_rows, 2, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, found) in zip(grid, panels.items(), strict=False):
            axes.set_title(f"{title}, %")
            _draw_candidates(axes, found)
            for place in rollbacks:
                axes.axvline(place, color=INK, linewidth=1, linestyle=(0, (1, 2)), label="rollback")
            percent_axis(axes.yaxis)
            _over_runs(axes, dates)
        legend(figure, grid[: len(panels)], 4)
        return to_svg(figure, label)


def shares(panels: Mapping[str, Sequence[Series]], dates: Sequence[str], label: str) -> str:
    """Shares over the runs, a panel each, with 95 % intervals where they are given."""
    with style():
        figure = new_figure(2.5)
        row = figure.subplots(1, max(2, len(panels)), squeeze=False).ravel()
        for axes in row[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, found) in zip(row, panels.items(), strict=False):
            axes.set_title(f"{title}, %")
            for number, series in enumerate(found):
                _draw_shares(
                    axes, series, SERIES[number], "oDs^vPX"[number], 0.12 * (number - (len(found) - 1) / 2)
                )
            axes.set_ylim(*_window([one for series in found for one in _whiskers(series)]))
            percent_axis(axes.yaxis)
            _over_runs(axes, dates)
        legend(figure, row[: len(panels)], 4)
        return to_svg(figure, label)


def counts(panels: Mapping[str, Sequence[Series]], dates: Sequence[str], label: str) -> str:
    """Counts over the runs, from zero, a panel each."""
    with style():
        figure = new_figure(2.3)
        row = figure.subplots(1, max(2, len(panels)), squeeze=False).ravel()
        for axes in row[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, found) in zip(row, panels.items(), strict=False):
            axes.set_title(title)
            for number, series in enumerate(found):
                _draw_counts(axes, series, SERIES[number], "oDs^vPX"[number])
            axes.set_ylim(bottom=0)
            axes.margins(y=0.2)
            _over_runs(axes, dates)
        legend(figure, row[: len(panels)], 4)
        return to_svg(figure, label)


def stacked(panels: Mapping[str, tuple[Sequence[Series], Sequence[str]]], label: str) -> str:
    """Bars over the runs, a stage each on top of the other; a panel has its own runs, a stage the same colour in both."""
    with style():
        figure = new_figure(2.8)
        row = figure.subplots(1, max(2, len(panels)), squeeze=False).ravel()
        for axes in row[len(panels) :]:
            axes.set_axis_off()
        colours = _colours(series.label for found, _ in panels.values() for series in found)
        for axes, (title, (found, dates)) in zip(row, panels.items(), strict=False):
            axes.set_title(title)
            _stack(axes, found, len(dates), colours)
            _over_runs(axes, dates)
        legend(figure, row[: len(panels)], 6)
        return to_svg(figure, label)


def _stack(axes: Axes, found: Sequence[Series], num_runs: int, colours: Mapping[str, str]) -> None:
    floor = [0.0] * num_runs
    for series in found:
        heights = [value if isinstance(value, int | float) else 0.0 for value in series.values]
        axes.bar(range(num_runs), heights, bottom=floor, width=0.7, color=colours[series.label], label=series.label, edgecolor="white", linewidth=0.5)  # fmt: skip
        floor = [below + height for below, height in zip(floor, heights, strict=True)]


def _draw_candidates(axes: Axes, found: Sequence[Candidate]) -> None:
    for place, one in enumerate(found):
        if one.aligned and one.ending in ENDINGS:
            words, colour, marker, is_filled = ENDINGS[one.ending]
            _dot(axes, place, one.aligned, colour, marker, words, is_filled=is_filled)
    _line(axes, [one.champion for one in found], CHAMPION_COLOUR, "-", "released model, that night")
    seen = [whisker for one in found for whisker in (one.aligned, one.champion) if whisker]
    low, high = _window(seen)
    base = [one.base for one in found]
    values = [whisker.value for whisker in base if whisker]
    if all(low <= value <= high for value in values):
        _line(axes, base, BASE_COLOUR, (0, (4, 2)), "base")
    else:  # a base at 100 % would press what changes from night to night into a line
        axes.set_title(f"base {_range(values)}", loc="right", color=BASE_COLOUR, fontsize=8.5, fontweight="normal")  # fmt: skip
    axes.set_ylim(low, high)


def _line(axes: Axes, whiskers: Sequence[Whisker | None], colour: str, dashes: Any, label: str) -> None:
    points = [(place, whisker.value) for place, whisker in enumerate(whiskers) if whisker]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, linestyle=dashes, linewidth=1.4, marker=".", markersize=4, label=label, zorder=2)  # fmt: skip


def _window(whiskers: Sequence[Whisker]) -> tuple[float, float]:
    """The part of the scale that holds all intervals, at least 20 points wide, with a little air."""
    low, high = min((one.low for one in whiskers), default=0.0), max((one.high for one in whiskers), default=1.0)  # fmt: skip
    spare = max(0.0, MIN_WINDOW - (high - low)) / 2
    floor = 0.0 if low >= 0 else -1.0  # a score of differences may be below zero
    low, high = max(floor, low - spare), min(1.0, high + spare)
    air = 0.06 * (high - low)
    return low - air, high + air


def _range(values: Sequence[float]) -> str:
    low, high = f"{100 * min(values):.0f}", f"{100 * max(values):.0f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _draw_shares(axes: Axes, series: Series, colour: str, marker: str, shift: float) -> None:
    found = [(place + shift, _as_whisker(value)) for place, value in enumerate(series.values) if value is not None]  # fmt: skip
    for place, whisker in found:
        _dot(axes, place, whisker, colour, marker, series.label)
    axes.plot([place for place, _ in found], [one.value for _, one in found], color=colour, linewidth=0.9, alpha=0.6)  # fmt: skip


def _whiskers(series: Series) -> list[Whisker]:
    return [_as_whisker(value) for value in series.values if value is not None]


def _as_whisker(value: Whisker | float) -> Whisker:
    return value if isinstance(value, Whisker) else Whisker(value, value, value)


def _draw_counts(axes: Axes, series: Series, colour: str, marker: str) -> None:
    points = [(place, value) for place, value in enumerate(series.values) if value is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4, linewidth=1.4, label=series.label)  # fmt: skip


def _dot(axes: Axes, place: float, whisker: Whisker, colour: str, marker: str, label: str, *, is_filled: bool = True) -> None:  # fmt: skip
    low, high = max(0.0, whisker.value - whisker.low), max(0.0, whisker.high - whisker.value)
    face = colour if is_filled else "white"
    axes.errorbar(place, whisker.value, yerr=[[low], [high]], color=colour, marker=marker, markersize=5.5, markerfacecolor=face, capsize=2, linewidth=1.2, linestyle="none", label=label, zorder=3)  # fmt: skip


def _over_runs(axes: Axes, dates: Sequence[str]) -> None:
    step = max(1, -(-len(dates) // MAX_DATES))
    places = range(0, len(dates), step)
    axes.set_xticks(list(places), [dates[place] for place in places])
    axes.set_xlim(-0.6, max(1, len(dates)) - 0.4)
    axes.grid(axis="y")


def _colours(labels: Iterable[str]) -> dict[str, str]:
    import matplotlib

    palette = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    distinct = dict.fromkeys(labels)
    return {label: matplotlib.colors.to_hex(palette[number % len(palette)]) for number, label in enumerate(distinct)}  # fmt: skip
