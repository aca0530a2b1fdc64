"""Which revision a model has: part of every row's id, resolved once per run by the plan.

A model in a folder is identified by its files. Pickles and code are refused where the profile does not name them (`files.py`).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.errors import UserError
from spavl.inference.files import NOTHING, Allowed, allowed_by, refuse_unnamed

if TYPE_CHECKING:
    from spavl.config import ModelSpec, TransformersModel, VllmModel

FILES_PREFIX = "files-"  # a revision that starts so was computed from a folder's files
_MODEL_SUFFIXES = {
    ".json",
    ".safetensors",
    ".jinja",
    ".model",
    ".txt",
}  # config, tokenizer, processor, weights
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?$")
_BLOCK_BYTES = 1 << 20


def resolve_revision(spec: ModelSpec) -> str:
    """The revision of a model: as pinned in the config, or a hash over the files of a folder.

    Raises UserError for a folder that is missing, has no weights or pickles that are not named, and for a hub id unpinned.
    """
    if spec.kind == "transformers":
        return _revision_of_transformers(spec)
    if spec.kind == "demo_rules":
        from spavl.demo import rules

        return rules.revision_of(spec)
    if spec.kind == "poisoned":
        from spavl.inference.poisoned import poisoned_revision

        return poisoned_revision(spec.terms, resolve_revision(spec.model))
    if spec.kind == "vllm":
        _check_address(spec)  # what lies there is fetched where it is served, not here
    return spec.revision


def is_hub_id(path: str) -> bool:
    """Whether a model's path is a hub id: no folder of that name is here."""
    return bool(_HUB_ID.match(path)) and not Path(path).is_dir()


def model_file_patterns() -> list[str]:
    """Names of weights as safetensors, and of what describes them: no pickle, no code."""
    return [f"*{suffix}" for suffix in sorted(_MODEL_SUFFIXES)]


def _check_address(spec: VllmModel) -> None:
    if not _HUB_ID.match(spec.path) and "://" not in spec.path and not Path(spec.path).is_absolute():
        raise UserError(
            f"model {spec.name!r}: {spec.path!r} is neither a hub id nor a folder's address.",
            next_step="Give a hub id such as 'organisation/model', or s3://bucket/folder.",
        )


def folder_of(spec: TransformersModel) -> Path | None:
    """The folder of a transformers model; None where `path` is a hub id. Raises UserError for a folder that is missing."""
    folder = Path(spec.path).expanduser()
    if folder.is_dir():
        return folder
    if _HUB_ID.match(spec.path) and not folder.exists():
        return None
    raise UserError(
        f"model {spec.name!r}: there is no folder {spec.path!r}.",
        next_step="Give an existing folder with safetensors weights, or a hub id such as 'organisation/model'.",
    )


def folder_revision(folder: Path, name: str, allowed: Allowed = NOTHING) -> str:
    """`files-` and 16 hex digits over names and bytes of the model's files, read in blocks of 1 MiB; allowed ones too."""
    refuse_unnamed(folder, name, allowed)
    digest = hashlib.sha256()
    of_model = {file.name for file in folder.iterdir() if file.is_file() and file.suffix in _MODEL_SUFFIXES}
    named = {name for name in allowed.names if (folder / name).is_file()}
    for in_folder in sorted(of_model | named):
        file = folder / in_folder
        digest.update(f"{in_folder}\0{file.stat().st_size}\0".encode())
        with open(file, "rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    return FILES_PREFIX + digest.hexdigest()[:16]


def _revision_of_transformers(spec: TransformersModel) -> str:
    folder = folder_of(spec)
    if folder is not None:
        return folder_revision(folder, spec.name, allowed_by(spec))
    if not spec.revision:
        raise UserError(
            f"model {spec.name!r}: {spec.path!r} is a hub id without a revision.",
            next_step="Set `revision` to the commit of the weights, or `path` to a folder that exists.",
        )
    return spec.revision
