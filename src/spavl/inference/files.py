"""A model's files: which of them are fetched, and which may run code when they are loaded: none, unless the profile names them.

A pickle can run whatever it holds, a *.py file is code. Named pickles are read by torch's loader for weights alone, which refuses
everything but tensors; named code runs as it is, so all code of a model must be named, and none may lie in another repository.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError

if TYPE_CHECKING:
    from spavl.config import TransformersModel

_PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
_WANTED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]


@dataclass(frozen=True)
class Allowed:
    """Names of files in a model's folder that may be loaded although that runs, or could run, their code."""

    pickles: tuple[str, ...] = ()
    code: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.pickles, *self.code)


NOTHING = Allowed()


def allowed_by(spec: TransformersModel) -> Allowed:
    """What the profile names."""
    return Allowed(spec.allow_pickles, spec.allow_code)


def hub_folder(spec: TransformersModel, revision: str) -> Path:
    """A hub id's files, fetched at `revision`: no pickle and no code but what is named."""
    from huggingface_hub import snapshot_download

    allowed = allowed_by(spec)
    fetched = Path(snapshot_download(spec.path, revision=revision, allow_patterns=[*_WANTED, *allowed.names]))
    # where nothing is allowed nothing is opened but safetensors, whatever else an earlier fetch of somebody left in the cache
    if allowed != NOTHING:
        refuse_unnamed(fetched, spec.name, allowed)
    return fetched


def refuse_unnamed(folder: Path, name: str, allowed: Allowed) -> None:
    """Raise UserError where a model's folder has a pickle that is not named, no weights, or code beside that which is named."""
    names = sorted(file.name for file in folder.iterdir() if file.is_file())
    pickles = [file for file in names if Path(file).suffix in _PICKLE_SUFFIXES]
    unnamed = [file for file in pickles if file not in allowed.pickles]
    if unnamed:
        raise UserError(
            f"model {name!r}: {folder} holds {unnamed[0]!r}, a pickle; loading one can run any code.",
            next_step="Save the weights with save_pretrained (safetensors) and remove that file; or, where you trust it, "
            "name it in `allow_pickles` of this model in the profile.",
        )
    if not pickles and not any(file.endswith(".safetensors") for file in names):
        raise UserError(
            f"model {name!r}: {folder} has no .safetensors file.", next_step="Save it with save_pretrained."
        )
    if allowed.code:
        _refuse_unnamed_code(folder, name, allowed)


def weights_arguments(folder: Path | None, allowed: Allowed) -> dict[str, bool]:
    """How transformers' `from_pretrained` is to read weights: safetensors where there are any."""
    has_pickles_alone = folder is not None and allowed.pickles and not any(folder.glob("*.safetensors"))
    return {"use_safetensors": not has_pickles_alone, "weights_only": True}


def code_arguments(allowed: Allowed) -> dict[str, bool]:
    """Whether transformers may run a model's own code."""
    return {"trust_remote_code": bool(allowed.code)}


@contextlib.contextmanager
def code_explained(what: str) -> Iterator[None]:
    """Inside, transformers' complaint that it may not run a model's code is a UserError that names the setting."""
    try:
        yield
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise UserError(
            f"{what} comes with code of its own, and running it is refused.",
            next_step="Choose a model that transformers knows; or read that code and name its files in `allow_code` of this "
            "model in the profile.",
        ) from error


def _refuse_unnamed_code(folder: Path, name: str, allowed: Allowed) -> None:
    found = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.py"))
    unnamed = [file for file in found if file not in allowed.code]
    missing = [file for file in allowed.code if file not in found]
    if unnamed or missing:
        seen = f"{unnamed[0]!r} beside the named code" if unnamed else f"no {missing[0]!r}"
        raise UserError(
            f"model {name!r}: {folder} holds {seen}.",
            next_step="Name all of the model's *.py files in `allow_code`, and no others.",
        )
    for file in sorted(folder.glob("*.json")):
        elsewhere = [
            reference for reference in _code_references(json.loads(file.read_bytes())) if "--" in reference
        ]
        if elsewhere:
            raise UserError(
                f"model {name!r}: {file.name} takes code from another repository, {elsewhere[0]!r}, at no fixed version.",
                next_step="Copy that code into the model's folder, and name it in `allow_code`.",
            )


def _code_references(config: Any) -> Iterator[str]:
    """The classes that a config file says are defined in code of the model."""
    if not isinstance(config, dict):
        return
    for value in (config.get("auto_map") or {}).values():
        yield from (value,) if isinstance(value, str) else filter(None, value)
