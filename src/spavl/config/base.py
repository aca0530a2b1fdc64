"""What every section of the Config is made of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

if TYPE_CHECKING:
    from spavl.config.models import ModelSpec
    from spavl.config.root import Config

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def spavl_home() -> Path:
    """The folder that holds all local state: SPAVL_HOME, or `.spavl` in the working directory."""
    return Path(os.environ.get("SPAVL_HOME") or ".spavl").resolve()


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        defer_build=True,  # a short process validates few sections, or none
    )


class StageSection(Section):
    """Base of the section of a stage."""

    def models_asked(self, config: Config, group: str | None = None) -> Iterator[ModelSpec]:
        """The models that `work` asks or runs for a group of items; with no group those of all groups.

        Those that the section names, unless a stage says otherwise.
        """
        from spavl.config.models import models_in

        yield from models_in(self)


def refuse_same_names(named: Sequence[Section]) -> None:
    """Raise ValueError if two of them have one `name`."""
    names = [one.name for one in named]  # type: ignore[attr-defined]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"the name {repeated[0]!r} is there twice; names must differ")
