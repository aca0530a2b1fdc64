"""The stages, one folder each; `spavl.pipeline` is their map, and here a stage's name becomes what its folder holds.

    rows.py        its row types; the one that the map names is its table's
    config.py      its section of the config: the class `<Stage>Config`, with the models that it asks
    stage.py       prepare, work and seal (`spavl.stage`)
    measures.py    MEASURES, if its suite may limit numbers over the whole table
    derived.py     columns made for its suite (`validation.derivation`)
    report.py      its sections of the run report (`report.section`), with report.html.j2; report/ if they are several
    suite.yaml     its suite, if `expectations/` has none

`rows` and `config` are what every other part of spavl may know of a stage; no stage imports another one's other files.
A folder is found by its name: a new stage is one row of the map and one folder here.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from importlib import resources
from types import ModuleType
from typing import TYPE_CHECKING

from spavl.errors import UserError
from spavl.pipeline import BY_NAME

if TYPE_CHECKING:
    from spavl.config.base import StageSection
    from spavl.stage import StageModule


def stage_module(stage: str) -> StageModule:
    """What runs the stage; raises UserError for a word that is not a stage."""
    if stage not in BY_NAME:
        raise UserError(f"there is no stage {stage!r}.", next_step=f"Stages are {', '.join(BY_NAME)}.")
    return importlib.import_module(f"{__name__}.{stage}.stage")  # type: ignore[return-value]


@functools.cache
def row_type_of(stage: str) -> type:
    """The row type of the stage's table."""
    rows = importlib.import_module(f"{__name__}.{stage}.rows")
    return getattr(rows, BY_NAME[stage].writes)


@functools.cache
def row_type_named(name: str) -> type:
    """The row type of any table, by the name that records keep; raises LookupError if no stage has it."""
    for stage in BY_NAME:
        found = getattr(importlib.import_module(f"{__name__}.{stage}.rows"), name, None)
        if isinstance(found, type):
            return found
    raise LookupError(f"no stage has rows of the type {name}")


def section_type_of(stage: str) -> type[StageSection]:
    """The class of the stage's section of the config."""
    return getattr(importlib.import_module(f"{__name__}.{stage}.config"), f"{stage.capitalize()}Config")


def measures_of(stage: str) -> Mapping[str, str]:
    """Measure -> what it says, for those that the stage's suite may limit; empty for a stage without `measures.py`."""
    found = optional_module(stage, "measures")
    return found.MEASURES if found else {}


def own_suite(stage: str) -> str | None:
    """The text of `suite.yaml` in the stage's folder, if it has one: for a stage that `expectations/` does not know."""
    path = resources.files(__name__) / stage / "suite.yaml"
    return path.read_text("utf-8") if stage in BY_NAME and path.is_file() else None


def optional_module(stage: str, name: str) -> ModuleType | None:
    """A file that a stage need not have; None if it has none, and for a word that is not a stage."""
    if stage not in BY_NAME:
        return None
    path = f"{__name__}.{stage}.{name}"
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        return None
