"""Bytes, tables, blobs and folders under one fsspec URL.

On disk a file appears under its name only when whole (temporary name, fsync, rename); on S3 an object does so by itself.
`create` makes a name exist once: `O_EXCL` on disk, `If-None-Match: *` on S3. Listings never come from s3fs's cache.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import posixpath
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from spavl.config import spavl_home
from spavl.errors import TryAgain, UserError

if TYPE_CHECKING:
    import pyarrow as pa

_SAFE_PATH = re.compile(r"^[A-Za-z0-9._=@+-]+(/[A-Za-z0-9._=@+-]+)*$")
_PIECE_BYTES = 2**22
_STORE_FAULTS = {
    errno.ENOSPC,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EDQUOT,
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
}


def default_store_url() -> str:
    """SPAVL_STORE, or the folder `store` of SPAVL_HOME."""
    return os.environ.get("SPAVL_STORE") or f"file://{spavl_home() / 'store'}"


def open_store(url: str | None = None) -> Store:
    """The store at `url` (default: `default_store_url()`); raises UserError for a scheme nobody can open."""
    import fsspec

    url = url or default_store_url()
    scheme = url.split("://", 1)[0] if "://" in url else "file"
    options: dict[str, Any] = (
        {"listings_expiry_time": 0, "use_listings_cache": False} if scheme == "s3" else {}
    )
    try:
        filesystem, root = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"the store {url!r} cannot be opened: {error}.", next_step="Use file:// or s3:// (extra 's3')."
        ) from error
    return Store(url, filesystem, root)


class Store:
    """One root; every path is relative to it, made of safe characters, and never climbs out."""

    def __init__(self, url: str, filesystem: Any, root: str) -> None:
        self.url = url
        self._fs = filesystem
        self._root = root.rstrip("/")
        self._is_local = "file" in (
            filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
        )

    # ------------------------------------------------------------------ bytes

    def read(self, path: str) -> bytes:
        """The bytes at `path`; raises FileNotFoundError."""
        with self._faults(path):
            return self._fs.cat_file(self._full(path))

    def write(self, path: str, content: bytes) -> None:
        """Write atomically, replacing what is there."""
        with self._faults(path):
            if self._is_local:
                self._write_local(self._full(path), content)
            else:
                self._fs.pipe_file(self._full(path), content)

    def create(self, path: str, content: bytes) -> bool:
        """Make `path` exist with `content`, once. True also where exactly this content is there already (a lost reply)."""
        full = self._full(path)
        with self._faults(path):
            try:
                if self._is_local:
                    self._create_local(full, content)
                else:
                    self._fs.pipe_file(full, content, mode="create")
            except FileExistsError:
                return self._fs.cat_file(full) == content
        return True

    def exists(self, path: str) -> bool:
        with self._faults(path):
            if not self._is_local:
                self._fs.invalidate_cache()
            return self._fs.isfile(self._full(path))

    def size(self, path: str) -> int:
        """Bytes at `path`; raises FileNotFoundError."""
        with self._faults(path):
            return int(self._fs.info(self._full(path))["size"])

    def names(self, path: str) -> list[str]:
        """Sorted names directly under `path`, files and folders; empty where there is nothing."""
        with self._faults(path):
            if not self._is_local:
                self._fs.invalidate_cache()
            try:
                entries = self._fs.ls(self._full(path) if path else self._root, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
        names = {posixpath.basename(str(entry).rstrip("/")) for entry in entries}
        return sorted(name for name in names if name and not name.startswith(".writing-"))

    def walk(self, path: str) -> list[str]:
        """Sorted paths of all files under `path`, relative to the store."""
        with self._faults(path):
            if not self._is_local:
                self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._full(path))
            except FileNotFoundError:
                return []
        root = self._fs._strip_protocol(self._root).rstrip("/") + "/"
        return sorted(str(full)[len(root) :] for full in found if "/.writing-" not in str(full))

    def remove(self, path: str) -> None:
        """Remove a file or everything under a folder; nothing there is fine."""
        with self._faults(path):
            try:
                self._fs.rm(self._full(path), recursive=True)
            except FileNotFoundError:
                return

    def copy(self, source: str, target: str) -> None:
        """Make the bytes at `source` exist at `target` too without reading them: a hard link on disk, server-side on S3.

        Removing one leaves the other whole. Raises FileNotFoundError.
        """
        with self._faults(target):
            if not self._is_local:
                self._fs.cp_file(self._full(source), self._full(target))
                return
            path = Path(self._full(target))
            temporary = _new_temporary(path)
            os.link(self._full(source), temporary)
            os.replace(temporary, path)
            temporary.unlink(missing_ok=True)  # replace does nothing if both names are one file already
            _sync_folder(path.parent)

    def url_of(self, path: str) -> str:
        """The full URL of a path, for messages and links."""
        return f"{self.url.rstrip('/')}/{path}"

    def local_path(self, path: str) -> Path | None:
        """Where `path` lies on this disk; None for a remote store."""
        return Path(self._full(path)) if self._is_local else None

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

        return pq.read_table(io.BytesIO(self.read(path)))

    # ------------------------------------------------------------------ blobs: content-addressed bytes

    def put_blob(self, content: bytes) -> str:
        """Store bytes under their sha256 and return it; bytes already there are not sent again."""
        digest = hashlib.sha256(content).hexdigest()
        path = blob_path(digest)
        if not self.exists(path):
            self.write(path, content)
        return digest

    def get_blob(self, digest: str) -> bytes:
        """The bytes with this sha256; raises UserError where they are missing or not what the name says."""
        try:
            content = self.read(blob_path(digest))
        except FileNotFoundError:
            raise UserError(
                f"the blob {digest} is not in the store.",
                next_step="Was it pruned? Start a new run of `images`.",
            ) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise UserError(
                f"the blob {digest} is damaged: its bytes have another sha256.",
                next_step="Remove it and start a new run of `images`.",
            )
        return content

    # ------------------------------------------------------------------ folders

    def upload(self, folder: Path, path: str) -> dict[str, dict[str, Any]]:
        """Copy a local folder to `path`; returns {relative path: {sha256, num_bytes}} of what was written."""
        manifest = {}
        for file in _files_of(folder):
            relative = file.relative_to(folder).as_posix()
            self._put_file(file, f"{path}/{relative}")
            manifest[relative] = {"sha256": _sha256_of(file), "num_bytes": file.stat().st_size}
        return manifest

    def download(self, path: str, folder: Path, manifest: dict[str, dict[str, Any]]) -> Path:
        """Copy the files of a manifest to a local folder, checking each sha256; raises UserError where one differs or is gone."""
        for relative, entry in manifest.items():
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with self._faults(f"{path}/{relative}"):
                    self._fs.get_file(self._full(f"{path}/{relative}"), str(target))
            except FileNotFoundError:
                raise UserError(
                    f"{self.url_of(path)}/{relative} is gone from the store, and a record names it.",
                    next_step="Was it pruned? Start a new run.",
                ) from None
            if _sha256_of(target) != entry["sha256"]:
                raise UserError(
                    f"{self.url_of(path)}/{relative} is damaged: its sha256 is not the recorded one.",
                    next_step="Start a new run.",
                )
        return folder

    def put_file(self, file: Path, path: str) -> None:
        """Copy a local file to `path`, atomically."""
        self._put_file(file, path)

    def fetch(self, path: str, target: Path) -> Path:
        """Copy the file at `path` to this disk, where it appears only when whole; raises FileNotFoundError."""
        temporary = _new_temporary(target)
        try:
            with self._faults(path):
                self._fs.get_file(self._full(path), str(temporary))
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def sha256_of(self, path: str) -> str:
        """Of the file at `path`, read in pieces; raises FileNotFoundError."""
        with self._faults(path), self._fs.open(self._full(path), "rb") as file:
            return _digest_of(file)

    # ------------------------------------------------------------------ inside

    def _put_file(self, file: Path, path: str) -> None:
        """Copy a local file atomically without holding it in memory: weights have many gigabytes."""
        full = self._full(path)
        with self._faults(path):
            if not self._is_local:
                self._fs.put_file(str(file), full)
                return
            target = Path(full)
            temporary = _new_temporary(target)
            try:
                shutil.copyfile(file, temporary)
                with open(temporary, "rb") as copied:
                    os.fsync(copied.fileno())
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            os.replace(temporary, target)
            _sync_folder(target.parent)

    def _full(self, path: str) -> str:
        if not _SAFE_PATH.match(path) or ".." in path.split("/"):
            raise UserError(
                f"{path!r} is not a safe path of the store.",
                next_step="Letters, digits, '.', '_', '-' and '/' are allowed.",
            )
        return f"{self._root}/{path}"

    def _faults(self, path: str) -> _StoreFaults:
        return _StoreFaults(self.url_of(path))

    @staticmethod
    def _write_local(full: str, content: bytes) -> None:
        target = Path(full)
        temporary = _write_temporary(target, content)
        os.replace(temporary, target)
        _sync_folder(target.parent)

    @staticmethod
    def _create_local(full: str, content: bytes) -> None:
        # link() fails where the name exists and shows the file only when whole, which O_EXCL on the name itself would not
        target = Path(full)
        temporary = _write_temporary(target, content)
        try:
            os.link(temporary, target)
        finally:
            os.unlink(temporary)
        _sync_folder(target.parent)


class _StoreFaults:
    """Turns a full disk, a read-only store or a store that went away into one clear line that says "try again"."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError | FileExistsError | NotADirectoryError) or error is None:
            return
        if isinstance(error, OSError) and (
            error.errno in _STORE_FAULTS
            or isinstance(error, ConnectionError | TimeoutError | PermissionError)
        ):
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise TryAgain(
                f"the store cannot be used at {self._url}: {reason}.",
                next_step="Mend it and run the same command again; nothing is lost.",
            ) from error
        if type(error).__module__.split(".")[0] in {"botocore", "aiobotocore", "aiohttp"}:
            raise TryAgain(
                f"the store does not answer at {self._url}: {type(error).__name__}.",
                next_step="Run the same command again; nothing is lost.",
            ) from error


def blob_path(digest: str) -> str:
    """Where the bytes with this sha256 lie."""
    return f"blobs/{digest[:2]}/{digest}"


def _new_temporary(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent / f".writing-{uuid.uuid4().hex}"


def _sha256_of(file: Path) -> str:
    with open(file, "rb") as opened:
        return _digest_of(opened)


def _digest_of(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _write_temporary(target: Path, content: bytes) -> Path:
    temporary = _new_temporary(target)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files_of(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
