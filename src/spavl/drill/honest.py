"""Honest second nights: new pictures, new seeds, no poison. One that is stopped is a false alarm."""

from __future__ import annotations

from typing import Any

from spavl.drill.changes import Setting, Source
from spavl.drill.night import draw_more
from spavl.drill.pictures import Pictures, read_pictures
from spavl.drill.poison import Poison

FAMILY = "honest"
_FIRST_NUMBER = 100  # of the nights whose pictures are drawn: far from those that the demo draws


def honest_poison(number: int) -> Poison:
    """A night like any other: pictures, pairs, training and sampling with seeds of their own."""
    seeds = ("comparisons.seed", "responses.sampling.seed", "training.seed")
    changes = [Source(_more_pictures(number)), *(Setting(f"{name}={number}") for name in seeds)]
    return Poison(f"honest-{number:02d}", FAMILY, f"An honest second night with seed {number}.", changes)


def control() -> Poison:
    """The honest night's own alignment once more, with nothing changed."""
    return Poison("control", FAMILY, "The same night once more.", [Setting("evaluation.seed=1")])


def _more_pictures(number: int) -> Any:
    def change(pictures: Pictures) -> Pictures:
        for name in pictures.tables:
            (pictures.folder / name).unlink()
        draw_more(pictures.folder, _FIRST_NUMBER + number)
        return read_pictures(pictures.folder, list(pictures.tables), pictures.test_files)

    return change
