"""One source's folder on disk or S3: listed once, read by key. The only file of this stage that touches storage."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spavl.artifacts.faults import StoreFaults
from spavl.errors import TryAgain, UserError
from spavl.stages.images.quarantine import Rejected

if TYPE_CHECKING:
    from spavl.artifacts.s3 import S3

_SCHEMES = ("file", "s3")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """What the listing says of one file."""

    num_bytes: int
    fingerprint: str  # changes whenever the file is written anew
    is_regular: bool  # False for folder links, pipes, devices: never opened


class SourceFolder:
    """The folder at `url`; raises UserError for an address that is not a path, file:// or s3://."""

    def __init__(self, name: str, url: str) -> None:
        import fsspec

        self._where = f"image source {name!r}: {url!r}"
        self._url = url.rstrip("/")
        scheme = url.split("://", 1)[0] if "://" in url else "file"
        if scheme not in _SCHEMES or "::" in url or not url:
            raise UserError(
                f"{self._where} is not an address that images may come from.",
                next_step="Allowed are a path, file:// and s3://; nothing is fetched from the web.",
            )
        self._is_local = scheme == "file"
        self._objects = None if self._is_local else self._opened(url.partition("://")[2])
        if self._objects is None:
            self._fs, root = fsspec.core.url_to_fs(url)
        else:
            self._fs, root = self._objects.filesystem, url.partition("://")[2]
        self._root = root.rstrip("/")

    def _opened(self, root: str) -> S3:
        from spavl.artifacts.s3 import S3

        try:
            return S3(root)
        except ImportError as error:
            raise UserError(
                f"{self._where} cannot be opened: {error}.", next_step="Install spavl[s3]."
            ) from error

    @functools.cached_property
    def _real_root(self) -> str:
        return os.path.realpath(self._root)

    def listing(self) -> dict[str, ListedFile]:
        """Every file under the folder by its key (the path inside), sorted; one listing, no call per file.

        Raises UserError where the folder is missing, is a file or may not be read, TryAgain where the storage is away.
        """
        if self._is_local and not os.path.isdir(self._root):
            raise UserError(f"{self._where} is not a folder.", next_step="Set its url to an existing folder.")
        try:
            with StoreFaults(self._url) if self._objects else contextlib.nullcontext():
                # By default fsspec leaves out, silently, what it may not list
                found = self._fs.find(
                    self._root, detail=True, **({"on_error": "raise"} if self._is_local else {})
                )
        except PermissionError as error:
            raise UserError(
                f"{self._where} may not be listed.", next_step="Give this process the right to read it."
            ) from error
        except FileNotFoundError as error:
            raise UserError(f"{self._where} does not exist.") from error
        except OSError as error:
            raise self._away(error) from error
        return {
            path[len(self._root) + 1 :]: self._listed(path, entry) for path, entry in sorted(found.items())
        }

    def read(self, key: str) -> bytes:
        """The bytes of one file; raises Rejected if it cannot be had, TryAgain or StoreRefused if the storage is away or refuses."""
        try:
            return self._read_object(key) if self._objects else self._read_file(key)
        except FileNotFoundError:
            raise Rejected("missing_file", "the file went away after it was listed") from None

    def _read_object(self, key: str) -> bytes:
        assert self._objects is not None
        with StoreFaults(f"{self._url}/{key}"):  # a right that is missing is the whole run's, not this file's
            return self._objects.read(key)

    def _read_file(self, key: str) -> bytes:
        path = f"{self._root}/{key}"
        if not os.path.realpath(path).startswith(self._real_root.rstrip("/") + "/"):
            raise Rejected("path_escapes", "a link leads out of the source's folder")
        try:
            return self._fs.cat_file(path)
        except PermissionError:
            raise Rejected("unreadable", "permission denied") from None
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._away(error) from error

    def _listed(self, path: str, entry: dict[str, Any]) -> ListedFile:
        if not self._is_local:
            words = [entry.get("ETag"), entry["size"], entry.get("LastModified")]
            return ListedFile(int(entry["size"]), " ".join(map(str, words)), True)
        if not entry["islink"]:
            return self._listed_stat(entry["size"], entry["mtime"], entry["created"], entry["mode"])
        try:
            target = os.stat(path)  # the listing has the link's own times, not its target's
        except OSError:
            return ListedFile(0, "broken link", False)
        return self._listed_stat(target.st_size, target.st_mtime, target.st_ctime, target.st_mode)

    @staticmethod
    def _listed_stat(size: int, mtime: float, ctime: float, mode: int) -> ListedFile:
        # ctime too: `cp -p` keeps the modification time of another content, `chmod` makes a file readable
        return ListedFile(size, f"{size} {mtime!r} {ctime!r}", stat.S_ISREG(mode))

    def _away(self, error: Exception) -> TryAgain:
        return TryAgain(
            f"{self._where} does not answer: {type(error).__name__}.", next_step="Run the same command again."
        )
