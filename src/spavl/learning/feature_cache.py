"""Tensors kept by key within a fixed number of bytes: a frozen tower's output for each image of a night.

They lie in RAM, or with a folder in files there, which are mapped into memory when read; the budget counts the bytes where
they lie. What was used longest ago goes first. A folder is found again after a restart; give every process its own.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

SUFFIX = ".safetensors"
log = logging.getLogger("spavl")


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """What a cache did; bytes and entries are what it holds now."""

    hits: int = 0
    misses: int = 0
    evicted: int = 0
    too_large: int = 0  # not kept: alone larger than the budget
    not_written: int = 0  # not kept: the disk was full
    entries: int = 0
    bytes: int = 0


class FeatureCache:
    """A least-recently-used cache of named tensors; every method may be called from any thread.

    A hit gives the stored bytes; its tensors are shared with the cache, so nobody may write into them.
    """

    def __init__(self, budget_bytes: int, folder: Path | None = None) -> None:
        self._budget_bytes = budget_bytes
        self._place: _Place = _Memory() if folder is None else _Folder(folder)
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict(self._place.found())  # oldest use first
        self._counts = CacheCounts(bytes=sum(self._sizes.values()))
        with self._lock:
            self._make_room(0)

    @property
    def counts(self) -> CacheCounts:
        with self._lock:
            return replace(self._counts, entries=len(self._sizes))

    def get(self, key: str) -> Tensors | None:
        """The tensors put under `key`, on the CPU, or None where they are not (or no longer) here."""
        with self._lock:
            kept = self._place.read(key) if key in self._sizes else None
            if kept is None:
                self._forget(key)
                self._count(misses=1)
                return None
            self._sizes.move_to_end(key)
            self._count(hits=1)
            return kept

    def put(self, key: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep `tensors` under `key`; what is there already stays, as a key stands for its content."""
        parcel = self._place.packed(tensors)
        with self._lock:
            if key in self._sizes:
                self._sizes.move_to_end(key)
            elif parcel.num_bytes > self._budget_bytes:
                self._count(too_large=1)
            else:
                # room first: not even for a moment is there more than the budget
                self._make_room(parcel.num_bytes)
                self._store(key, parcel)

    def _store(self, key: str, parcel: _Parcel) -> None:
        try:
            parcel.store(key)
        except OSError as error:  # a full disk makes training slower, not impossible
            self._count(not_written=1)
            if self._counts.not_written == 1:
                log.warning("features are not kept: %s", error.strerror or error)
            return
        self._sizes[key] = parcel.num_bytes
        self._count(bytes=parcel.num_bytes)

    def get_or_make(
        self, key: str, make: Callable[[], Mapping[str, torch.Tensor]]
    ) -> Mapping[str, torch.Tensor]:
        """What is kept under `key`, or else what `make` gives, which is kept then; two threads may both make it."""
        kept = self.get(key)
        if kept is None:
            kept = make()
            self.put(key, kept)
        return kept

    def _make_room(self, num_bytes: int) -> None:
        while self._counts.bytes + num_bytes > self._budget_bytes:
            self._forget(next(iter(self._sizes)))
            self._count(evicted=1)

    def _forget(self, key: str) -> None:
        size = self._sizes.pop(key, None)
        if size is not None:
            self._place.remove(key)
            self._count(bytes=-size)

    def _count(self, **changes: int) -> None:
        now = {name: getattr(self._counts, name) + change for name, change in changes.items()}
        self._counts = replace(self._counts, **now)


@dataclass(frozen=True)
class _Parcel:
    """Tensors made ready to be stored, and what they will take."""

    num_bytes: int
    store: Callable[[str], None]


class _Place(Protocol):
    """Where tensors lie; not thread-safe."""

    def found(self) -> list[tuple[str, int]]:
        """Key and bytes of all that is there, the oldest use first."""

    def packed(self, tensors: Mapping[str, torch.Tensor]) -> _Parcel: ...

    def read(self, key: str) -> Tensors | None: ...

    def remove(self, key: str) -> None: ...


class _Memory:
    def __init__(self) -> None:
        self._kept: dict[str, Tensors] = {}

    def found(self) -> list[tuple[str, int]]:
        return []

    def packed(self, tensors: Mapping[str, torch.Tensor]) -> _Parcel:
        # copies: a view would hold the whole batch that it was cut from
        own = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        size = sum(tensor.nbytes for tensor in own.values())
        return _Parcel(size, lambda key: self._kept.__setitem__(key, own))

    def read(self, key: str) -> Tensors | None:
        kept = self._kept.get(key)
        return None if kept is None else dict(kept)

    def remove(self, key: str) -> None:
        del self._kept[key]


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob("*.part"):
            unfinished.unlink()

    def found(self) -> list[tuple[str, int]]:
        files = [(path, path.stat()) for path in self._folder.glob(f"*{SUFFIX}")]
        files.sort(key=lambda file: (file[1].st_mtime_ns, file[0].name))
        return [(path.name.removesuffix(SUFFIX), stat.st_size) for path, stat in files]

    def packed(self, tensors: Mapping[str, torch.Tensor]) -> _Parcel:
        from safetensors.torch import save

        content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
        return _Parcel(len(content), lambda key: self._write(key, content))

    def read(self, key: str) -> Tensors | None:
        from safetensors import SafetensorError, safe_open

        path = self._path(key)
        try:
            os.utime(path)  # the order of use outlives a restart
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError):
            return None  # someone cleaned the folder, or the machine went down before all of a file was on the disk

    def remove(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def _write(self, key: str, content: bytes) -> None:
        part = self._path(key).with_suffix(".part")
        try:
            part.write_bytes(content)
            os.replace(part, self._path(key))
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{SUFFIX}"
