"""How many rows each class has, as a picture."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.records import BENIGN
from spavl.report import plots, words


def plot_per_class(per_class: Mapping[str, int], what: str) -> str:
    """Bars, largest first, as SVG; `what` is counted."""
    spoken = ", ".join(f"{words.class_name(class1)} {count}" for class1, count in per_class.items())
    # benign last: it is the control beside the harms, not one of them
    order = sorted(per_class, key=lambda class1: (class1 == BENIGN, -per_class[class1], class1))
    bars = [plots.Bar(words.class_name(class1), per_class[class1], class1 == BENIGN) for class1 in order]
    return plots.bars(bars, f"{what} per class: {spoken}")
