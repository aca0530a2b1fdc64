"""Bytes, tables, blobs and folders under one URL, on disk (`disk.py`) or on S3 (`s3.py`).

On disk a file appears under its name only when whole; on S3 an object does so by itself. `create` makes a name exist once:
link() on disk, `If-None-Match: *` on S3. A question that nobody answered is TryAgain, never "not there" (`faults.py`).
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, TypeVar

from spavl.artifacts.at_once import at_once
from spavl.artifacts.disk import Disk, sha256_of
from spavl.artifacts.faults import StoreFaults
from spavl.artifacts.packs import blob_path as blob_path
from spavl.artifacts.paths import safe
from spavl.config import spavl_home
from spavl.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from spavl.artifacts.blobs import Blobs, Packing
    from spavl.artifacts.s3 import S3


T = TypeVar("T")


def default_store_url() -> str:
    """SPAVL_STORE, or the folder `store` of SPAVL_HOME."""
    return os.environ.get("SPAVL_STORE") or f"file://{spavl_home() / 'store'}"


def open_store(url: str | None = None) -> Store:
    """The store at `url` (default: `default_store_url()`); raises UserError for a scheme that is neither file nor s3."""
    url = url or default_store_url()
    scheme, _, root = url.partition("://") if "://" in url else ("file", "", url)
    if scheme == "file":
        return Store(url, Disk(root))
    try:
        if scheme != "s3":
            raise ValueError(f"its scheme is {scheme!r}")
        from spavl.artifacts.s3 import S3

        return Store(url, S3(root))
    except (ImportError, ValueError) as error:
        raise UserError(
            f"the store {url!r} cannot be opened: {error}.", next_step="Use file:// or s3:// (extra 's3')."
        ) from error


class Store:
    """One root; paths are relative to it. Any method raises TryAgain if the store does not answer or denies a right, StoreRefused if its bucket or address is wrong."""

    def __init__(self, url: str, backend: Disk | S3) -> None:
        self.url = url
        self._backend = backend

    @property
    def requests(self) -> Mapping[str, int]:
        """Requests sent to S3 so far by kind (GET, PUT, HEAD, LIST, DELETE, COPY), each try counted; empty for a disk."""
        return self._backend.requests

    @property
    def reads_ahead(self) -> bool:
        """Whether a larger read costs little more than a small one: a request does, a disk's read does not."""
        return self._backend.reads_ahead

    # ------------------------------------------------------------------ bytes

    def read(self, path: str) -> bytes:
        """The bytes at `path`, one GET; raises FileNotFoundError."""
        with self._faults(path):
            return self._backend.read(safe(path))

    def read_range(self, path: str, offset: int, num_bytes: int) -> bytes:
        """At most `num_bytes` from `offset`, fewer at the end, one GET; raises FileNotFoundError."""
        with self._faults(path):
            return self._backend.read_range(safe(path), offset, num_bytes)

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes]:
        """The bytes at each path, in order, read ahead by a few requests at once; raises FileNotFoundError at a missing one."""
        return self._at_once(self.read, paths)

    def write(self, path: str, content: bytes) -> None:
        """Write atomically, replacing what is there; one PUT below 100 MB."""
        with self._faults(path):
            self._backend.write(safe(path), content)

    def create(self, path: str, content: bytes) -> bool:
        """Make `path` exist with `content`, once. True also if exactly this content is there already (a lost reply)."""
        return self.create_if_absent(path, content) or self.read(path) == content

    def create_if_absent(self, path: str, content: bytes) -> bool:
        """Make `path` exist; False if it did, whatever is in it. One PUT."""
        with self._faults(path):
            return self._backend.create(safe(path), content)

    def exists(self, path: str) -> bool:
        """Whether there is a file (not a folder) at `path`; one HEAD."""
        try:
            self.size(path)
        except FileNotFoundError:
            return False
        return True

    def size(self, path: str) -> int:
        """Bytes at `path`, one HEAD; raises FileNotFoundError."""
        with self._faults(path):
            return self._backend.size(safe(path))

    def names(self, path: str) -> list[str]:
        """Sorted names directly under `path`, files and folders; empty if there is nothing. One LIST for 1,000 names."""
        with self._faults(path):
            return sorted(set(self._backend.names(path and safe(path))))

    def walk(self, path: str) -> list[str]:
        """Sorted paths of all files under `path`, relative to the store. One LIST for 1,000 files."""
        return sorted(self.sizes(path))

    def sizes(self, path: str) -> dict[str, int]:
        """All files under `path` with their bytes, for the price of `walk`."""
        with self._faults(path):
            return dict(self._backend.sizes(path and safe(path)))

    def ages(self, path: str) -> dict[str, float]:
        """When each file directly under `path` was written, in seconds since 1970, by name."""
        with self._faults(path):
            return self._backend.ages(safe(path))

    def remove(self, path: str) -> None:
        """Remove a file or everything under a folder; nothing there is fine. A LIST and a DELETE for 1,000 files."""
        with self._faults(path):
            self._backend.remove(safe(path))

    def remove_files(self, paths: Iterable[str]) -> None:
        """Remove files, not folders; those that are not there are fine. One DELETE for 1,000 files."""
        paths = [safe(path) for path in paths]
        with self._faults(paths[0] if paths else ""):
            self._backend.remove_files(paths)

    def copy(self, source: str, target: str) -> None:
        """Make the bytes at `source` exist at `target` too without reading them: a hard link on disk, one COPY on S3.

        Removing one leaves the other whole. Raises FileNotFoundError.
        """
        with self._faults(source):
            self._backend.copy(safe(source), safe(target))

    def url_of(self, path: str) -> str:
        """The full URL of a path, for messages and links."""
        return f"{self.url.rstrip('/')}/{path}"

    def local_path(self, path: str) -> Path | None:
        """Where `path` lies on this disk; None for a remote store."""
        return self._backend.local_path(safe(path))

    # ------------------------------------------------------------------ tables

    def write_table(self, path: str, table: pa.Table) -> None:
        """One Parquet file, zstd, written atomically."""
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        self.write(path, buffer.getvalue())

    def read_table(self, path: str) -> pa.Table:
        """The table at `path`; raises FileNotFoundError."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(
            io.BytesIO(self.read(path))
        ) as file:  # pq.read_table imports what reads folders of files
            return file.read()

    # ------------------------------------------------------------------ blobs: content-addressed bytes

    @cached_property
    def blobs(self) -> Blobs:
        """All blobs of the store, and what is done with many of them (`blobs.py`)."""
        from spavl.artifacts.blobs import Blobs

        return Blobs(self)

    def put_blob(self, content: bytes) -> str:
        """Store bytes under their sha256 as an object of their own and return it; `packing` is cheaper for many."""
        return self.blobs.put(content)

    def get_blob(self, digest: str) -> bytes:
        """The bytes with this sha256; raises UserError if they are missing or not what the name says."""
        return self.blobs.get(digest)

    def get_blobs(self, digests: Sequence[str]) -> Iterator[bytes]:
        """`get_blob` of each, in order, in less time."""
        return self.blobs.get_many(digests)

    def packing(self) -> Packing:
        """A context that collects blobs into packs of up to 64 MB: when it ends without an error, they are in the store."""
        return self.blobs.packing()

    def blob_digests(self) -> Iterator[str]:
        """The sha256 of every blob of the store, once each."""
        return (digest for digest, _ in self.blobs.sizes())

    def remove_blobs(self, digests: Iterable[str]) -> int:
        """Remove blobs wherever they lie and return how many were there; no run may be adding images."""
        return self.blobs.remove(digests)

    def compact_packs(self) -> int:
        """Join small packs to packs of up to 64 MB; returns how many packs fewer there are."""
        return self.blobs.compact()

    # ------------------------------------------------------------------ folders

    def upload(
        self, folder: Path, path: str, finished: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, dict[str, Any]]:
        """Copy a local folder to `path`; returns {relative path: {sha256, num_bytes}} of what was written.

        `finished`: relative path -> sha256 of files that nobody writes again; on one disk they are linked, and never read.
        """

        def put(relative: str) -> dict[str, Any]:
            file, target = folder / relative, f"{path}/{relative}"
            with self._faults(target):
                self._backend.put_file(file, safe(target), may_link=relative in finished)
            return {"sha256": finished.get(relative) or sha256_of(file), "num_bytes": file.stat().st_size}

        names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
        return dict(zip(names, self._at_once(put, names), strict=True))

    def download(self, path: str, folder: Path, manifest: dict[str, dict[str, Any]]) -> Path:
        """Copy the files of a manifest to a local folder, checking each sha256; raises UserError if one differs or is gone."""

        def get(relative: str) -> None:
            url = self.url_of(f"{path}/{relative}")
            try:
                digest = self._fetch(f"{path}/{relative}", folder / relative)
            except FileNotFoundError:
                raise UserError(
                    f"{url} is gone from the store, and a record names it.",
                    next_step="Was it pruned? Start a new run.",
                ) from None
            if digest != manifest[relative]["sha256"]:
                raise UserError(
                    f"{url} is damaged: its sha256 is not the recorded one.", next_step="Start a new run."
                )

        for _ in self._at_once(get, manifest):
            pass
        return folder

    def put_file(self, file: Path, path: str) -> None:
        """Copy a local file to `path`, atomically; it may be larger than memory."""
        with self._faults(path):
            self._backend.put_file(file, safe(path))

    def fetch(self, path: str, target: Path) -> Path:
        """Copy the file at `path` to this disk, where it appears only when whole; raises FileNotFoundError."""
        self._fetch(path, target)
        return target

    def sha256_of(self, path: str) -> str:
        """Of the file at `path`, read in pieces; raises FileNotFoundError."""
        return _digest_of(self._pieces(path))

    def _fetch(self, path: str, target: Path) -> str:
        """Copy to this disk and return the sha256."""
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".writing-{uuid.uuid4().hex}")
        try:
            with self._faults(path), open(temporary, "wb") as file:
                digest = _digest_of(self._pieces(path), file)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return digest

    def _pieces(self, path: str) -> Iterator[bytes]:
        with self._faults(path):
            yield from self._backend.pieces(safe(path))

    def _at_once(self, ask: Callable[[str], T], paths: Iterable[str]) -> Iterator[T]:
        return at_once(ask, paths, self._backend.num_at_once)

    def _faults(self, path: str) -> StoreFaults:
        return StoreFaults(self.url_of(path))


def _digest_of(pieces: Iterable[bytes], copy: IO[bytes] | None = None) -> str:
    """The sha256 of the pieces, which are written to `copy` on the way."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        if copy is not None:
            copy.write(piece)
    return digest.hexdigest()
