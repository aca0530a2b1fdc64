"""Fetches a model's pinned weights into a cache that several pods share: whole or not at all, once, and never a pickle.

A fetch goes into a folder of its own beside the final one and becomes visible by one rename. Two pods that fetch the same
weights do so twice at worst: the first rename wins, and both find the same files.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from spavl.config import VllmModel
from spavl.errors import TryAgain, UserError
from spavl.inference.revision import HUB_ID, MODEL_SUFFIXES
from spavl.records import stable_hash

_FETCHING = ".fetching-"  # a folder that a fetch is still filling
_ABANDONED_S = 86_400  # a fetch that wrote nothing for a day is dead
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Fetched:
    path: Path
    num_files: int
    num_bytes: int
    was_there: bool  # nothing was fetched


def weights_folder(spec: VllmModel) -> str:
    """The folder's name under the cache: readable, and another for another path or revision."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", spec.path.partition("://")[2] or spec.path).strip("-.")[-48:]
    return f"{readable.lstrip('-.')}-{stable_hash(spec.path, spec.revision)[:12]}"


def fetch_weights(spec: VllmModel, cache: Path) -> Fetched:
    """Make `cache/weights_folder(spec)` exist, from a hub id at its revision or a folder on any fsspec URL.

    Raises UserError where there are no such weights, or not as safetensors, and TryAgain where their place is away.
    """
    final = cache / weights_folder(spec)
    if final.is_dir():
        return _counted(final, was_there=True)
    cache.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(cache)
    filling = cache / f"{_FETCHING}{final.name}-{uuid.uuid4().hex[:8]}"
    filling.mkdir()
    try:
        _fetch(spec, filling)
        _check(spec, filling)
        _to_disk(filling)
        os.rename(filling, final)
    except OSError as error:
        if error.errno in _FULL:
            raise _no_room(spec, cache) from error
        if error.errno not in _TAKEN or not final.is_dir():
            raise
        return _counted(final, was_there=True)
    finally:
        shutil.rmtree(filling, ignore_errors=True)
    return _counted(final, was_there=False)


def _fetch(spec: VllmModel, folder: Path) -> None:
    if HUB_ID.match(spec.path) and not Path(spec.path).is_dir():
        _fetch_from_hub(spec, folder)
    else:
        _fetch_from_folder(spec, folder)


def _fetch_from_hub(spec: VllmModel, folder: Path) -> None:
    from huggingface_hub import errors, snapshot_download

    patterns = [f"*{suffix}" for suffix in sorted(MODEL_SUFFIXES)]
    where = f"{spec.path!r} at {spec.revision!r}"
    try:
        snapshot_download(spec.path, revision=spec.revision, local_dir=folder, allow_patterns=patterns)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"model {spec.name!r}: the hub has no {where} for us ({type(error).__name__}).",
            next_step="Mend path and revision; a gated or private model needs HF_TOKEN in one of launch.secrets.",
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        raise TryAgain(
            f"model {spec.name!r}: {where} could not be fetched from the hub: {type(error).__name__}.",
            next_step="Is it reachable from the pods, and HF_HUB_OFFLINE unset? The same command tries again.",
        ) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub's own notes


def _fetch_from_folder(spec: VllmModel, folder: Path) -> None:
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(spec.path)
        root = root.rstrip("/")
        found = {str(path)[len(root) + 1 :]: str(path) for path in filesystem.find(root)}
        for relative, source in found.items():
            if _is_wanted(relative):
                target = folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(source, str(target))
    except (FileNotFoundError, PermissionError, ValueError, ImportError) as error:
        raise UserError(
            f"model {spec.name!r}: {spec.path!r} cannot be read: {type(error).__name__}.",
            next_step="Mend `path`, or the credentials among launch.secrets.",
        ) from error
    except Exception as error:
        if not _is_away(error):
            raise
        raise TryAgain(
            f"model {spec.name!r}: {spec.path!r} does not answer: {type(error).__name__}.",
            next_step="The same command tries again.",
        ) from error


def _is_wanted(relative: str) -> bool:
    path = PurePosixPath(relative)
    return path.suffix in MODEL_SUFFIXES and not any(part.startswith(".") for part in path.parts)


def _is_away(error: Exception) -> bool:
    library = type(error).__module__.split(".")[0]
    return isinstance(error, ConnectionError | TimeoutError) or library in (
        "botocore",
        "aiobotocore",
        "aiohttp",
    )


def _check(spec: VllmModel, folder: Path) -> None:
    """Safetensors must be among the files, and all that an index names."""
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    if not any(name.endswith(".safetensors") for name in names):
        raise UserError(
            f"model {spec.name!r}: {spec.path!r} has no .safetensors file; weights as pickles are not fetched, since loading one can run any code.",
            next_step="Save it with save_pretrained, or name a revision that has safetensors.",
        )
    for index in folder.glob("*.safetensors.index.json"):
        listed: dict[str, Any] = json.loads(index.read_bytes())["weight_map"]
        if missing := sorted(set(listed.values()) - names):
            raise UserError(
                f"model {spec.name!r}: {spec.path!r} lacks {len(missing)} files that {index.name} names (first: {missing[0]}).",
                next_step="Copy the whole model there.",
            )


def _no_room(spec: VllmModel, cache: Path) -> UserError:
    return UserError(
        f"model {spec.name!r}: its weights do not fit into {cache}.",
        next_step="Raise launch.model_cache_size, or the size of the claim that launch.model_cache_claim names.",
    )


def _to_disk(folder: Path) -> None:
    """A rename may reach the disk before the files it shows."""
    for file in (file for file in folder.rglob("*") if file.is_file()):
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())


def _remove_abandoned(cache: Path) -> None:
    """What killed fetches left: they cannot be told from live ones but by their silence."""
    for folder in cache.glob(f"{_FETCHING}*"):
        try:
            newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
        except FileNotFoundError:
            continue  # another pod is removing or renaming it
        if time.time() - newest > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)


def _counted(folder: Path, *, was_there: bool) -> Fetched:
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return Fetched(folder, len(sizes), sum(sizes), was_there)
