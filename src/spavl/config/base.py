"""What every section of the Config is made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

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
