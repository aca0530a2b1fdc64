"""Fetches a model's pinned weights into a cache that several pods share: whole or not at all, once, and never a pickle."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from spavl.config import VllmModel
from spavl.errors import TryAgain, UserError
from spavl.inference.revision import is_hub_id, model_file_patterns
from spavl.inference.shared_folder import make_once
from spavl.records import stable_hash

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class Fetched:
    path: Path
    num_files: int
    num_bytes: int
    was_there: bool  # nothing was fetched


def weights_folder(spec: VllmModel) -> str:
    """The folder's name under the cache: readable, and another for another path or revision."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", spec.path.partition("://")[2] or spec.path).strip("-.")[-48:]
    return f"{readable}-{stable_hash(spec.path, spec.revision)[:12]}".lstrip("-.")


def fetch_weights(spec: VllmModel, cache: Path) -> Fetched:
    """Make `cache/weights_folder(spec)` exist, from a hub id at its revision or a folder on any fsspec URL.

    Raises UserError where there are no such weights, or not as safetensors, and TryAgain where their place is away.
    """

    def fill(folder: Path) -> None:
        _fetch(spec, folder)
        _check(spec, folder)

    final = cache / weights_folder(spec)
    try:
        is_ours = make_once(final, fill)
    except OSError as error:
        if error.errno in _FULL:
            raise _no_room(spec, cache) from error
        if error.errno in _CLOSED:
            raise _not_ours(spec, cache) from error
        raise
    sizes = [file.stat().st_size for file in final.rglob("*") if file.is_file()]
    return Fetched(final, len(sizes), sum(sizes), was_there=not is_ours)


def _fetch(spec: VllmModel, folder: Path) -> None:
    if is_hub_id(spec.path):
        _fetch_from_hub(spec, folder)
    else:
        _fetch_from_folder(spec, folder)


def _fetch_from_hub(spec: VllmModel, folder: Path) -> None:
    import httpx2
    from huggingface_hub import errors, snapshot_download

    patterns = model_file_patterns()
    try:
        snapshot_download(spec.path, revision=spec.revision, local_dir=folder, allow_patterns=patterns)
    except (httpx2.HTTPError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise _hub_failure(spec, error) from error
    except errors.HFValidationError as error:
        raise _refused_by_hub(spec, error) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub's own notes


def _hub_failure(spec: VllmModel, error: Exception) -> UserError | TryAgain:
    """What the hub's answer, or its silence, means for us."""
    from huggingface_hub import errors

    cause = error.__cause__ or error
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return UserError(
            f"model {spec.name!r}: {spec.path!r} is to be fetched from the hub, and HF_HUB_OFFLINE is set.",
            next_step="Leave it out of launch.env, or give `path` an s3:// folder.",
        )
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status in (401, 403) or isinstance(
        error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError
    ):
        return _refused_by_hub(spec, cause)
    return TryAgain(
        f"model {spec.name!r}: {spec.path!r} could not be fetched from the hub: {type(cause).__name__}.",
        next_step="Can pods reach it? The same command tries again.",
    )


def _refused_by_hub(spec: VllmModel, error: BaseException) -> UserError:
    return UserError(
        f"model {spec.name!r}: the hub has no {spec.path!r} at {spec.revision!r} for us ({type(error).__name__}).",
        next_step="Mend path and revision; a gated or private model needs HF_TOKEN in one of launch.secrets.",
    )


def _fetch_from_folder(spec: VllmModel, folder: Path) -> None:
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(spec.path, skip_instance_cache=True)
        root = root.rstrip("/")
        found = {str(path)[len(root) + 1 :]: str(path) for path in filesystem.find(root)}
        for relative, source in found.items():
            if _is_wanted(relative):
                target = folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                filesystem.get_file(source, str(target))
    except Exception as error:
        if told := _folder_failure(spec, error):
            raise told from error
        raise


def _folder_failure(spec: VllmModel, error: Exception) -> UserError | TryAgain | None:
    """What a store's error means for us; None for one that is no matter of the store."""
    library, name = type(error).__module__.split(".")[0], type(error).__name__
    is_denied = isinstance(error, FileNotFoundError | PermissionError | ValueError | ImportError)
    if is_denied or "Credentials" in name:
        return UserError(
            f"model {spec.name!r}: {spec.path!r} cannot be read: {name}.",
            next_step="Mend `path`, or the credentials among launch.secrets.",
        )
    is_away = isinstance(error, ConnectionError | TimeoutError)
    if is_away or library in ("botocore", "aiobotocore", "aiohttp"):
        return TryAgain(
            f"model {spec.name!r}: {spec.path!r} does not answer: {name}.",
            next_step="The same command tries again.",
        )
    return None


def _is_wanted(relative: str) -> bool:
    """No code, no pickle, nothing hidden, and no key of a bucket that would lead out of the folder."""
    path = PurePosixPath(relative)
    is_inside = not path.is_absolute() and not any(part.startswith(".") for part in path.parts)
    return is_inside and any(path.match(pattern) for pattern in model_file_patterns())


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


def _not_ours(spec: VllmModel, cache: Path) -> UserError:
    """A network file system keeps its own owner: most drivers do not give a volume of many pods to their group."""
    return UserError(
        f"model {spec.name!r}: user {os.geteuid()} and group {os.getegid()} may not write to {cache}.",
        next_step="Give the root of the claim that launch.model_cache_claim names to this group, writable: its driver does not heed fsGroup.",
    )
