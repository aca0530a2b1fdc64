"""One attempt at a training run that a stage owns: where it goes on from, and what it calls while it runs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.config import LearningConfig
from spavl.errors import TryAgain
from spavl.learning.checkpoints import Checkpoints
from spavl.learning.interruption import stop_on_sigterm
from spavl.learning.memory import out_of_memory_explained
from spavl.stage import StageContext

if TYPE_CHECKING:
    from spavl.learning.trainer import Hooks

PACKAGES = ("torch", "transformers", "peft", "accelerate", "deepspeed")


@dataclass(frozen=True)
class Attempt:
    """The newest whole checkpoint, copied here, or None; and the hooks of the training loop."""

    resume_from: Path | None
    hooks: Hooks


def package_versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


def checkpoints_of(context: StageContext, folder: str, identity: str, section: LearningConfig) -> Checkpoints:
    """The checkpoints of the run with this identity; another ZeRO stage, package or number of ranks is refused."""
    # another version of a package may read a checkpoint differently without saying so
    terms: dict[str, Any] = {"ZeRO stage": section.zero_stage, "recipe": identity, **package_versions()}
    return Checkpoints(context.store, f"{folder}/checkpoints", terms)


@contextlib.contextmanager
def attempt(context: StageContext, folder: str, identity: str, section: LearningConfig) -> Iterator[Attempt]:
    """Inside, SIGTERM is a wish to stop, and too little memory a UserError; after TryAgain the scratch folder is gone."""
    from spavl.learning.trainer import Hooks

    checkpoints = checkpoints_of(context, folder, identity, section)
    name = folder.rpartition("/")[2]  # the stage, and its section of the config

    def keep(local: Path, step: int) -> None:
        checkpoints.save(local, step)
        shutil.rmtree(local)  # in the store it is safe, and a disk holds few of them

    try:
        with stop_on_sigterm() as stop_asked, out_of_memory_explained(section, name):
            resume_from = checkpoints.fetch_newest(context.scratch / "resumed")
            yield Attempt(resume_from, Hooks(keep, context.progress, stop_asked))
    except TryAgain:
        shutil.rmtree(context.scratch, ignore_errors=True)  # the next attempt has its own; weights are large
        raise
