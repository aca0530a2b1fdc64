"""Numbers and ids of the tables in the words of the page."""

from __future__ import annotations

import functools
from collections.abc import Mapping

KINDS = {
    "easy_question": "easy question",
    "hard_question": "hard question",
    "hard_statement": "hard statement",
    "benign_control": "benign control",
}
DAG_TITLES = {"refresh_preferences": "Preference data refresh", "align_model": "Model alignment"}


def percent(value: float | None, digits: int = 1) -> str:
    """A share as per cent; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def points(value: float) -> str:
    """A change of a share in percentage points, signed."""
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def interval(low: float, high: float) -> str:
    """The ends of an interval of a share, in per cent."""
    return f"{100 * low:.1f} to {100 * high:.1f}"


def point_interval(low: float, high: float) -> str:
    """The ends of an interval of a change, in percentage points."""
    return f"{points(low)} to {points(high)}"


def measured(measures: Mapping[str, float | None], name: str) -> dict[str, str]:
    """A share among a stage's measures, and its interval if that was measured too."""
    low, high = measures.get(f"{name}__low"), measures.get(f"{name}__high")
    return {
        "value": percent(measures.get(name)),
        "interval": "" if low is None or high is None else interval(low, high),
    }


def number(value: float | int | None) -> str:
    """A count with thin spaces between thousands; a dash where there is none."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """`42 s`, `3 min 10 s` or `5 h 02 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def count_name(key: str) -> str:
    """A key of a record's counts, as words."""
    return key.replace("_", " ")


@functools.cache
def class_names() -> dict[str, str]:
    """Domain id -> name, of the shipped taxonomy."""
    from spavl.taxonomy import load_taxonomy

    return {leaf.class1: leaf.class1_name for leaf in load_taxonomy().leaves}


def class_name(class_id: str) -> str:
    """The name of a class1 id; the id itself where another taxonomy was used."""
    return class_names().get(class_id, class_id.replace("_", " ").capitalize())
