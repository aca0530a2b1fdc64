"""A folder on disk as a store: a file appears under its name only when whole (temporary name, fsync, rename)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

PIECE_BYTES = 2**22
_WRITING = ".writing-"


class Disk:
    """Files under `root`; paths are relative to it. Errors are those of the operating system."""

    reads_ahead = False  # the operating system does
    num_at_once = 1

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser().absolute()

    @property
    def requests(self) -> dict[str, int]:
        """Nothing is requested from a disk."""
        return {}

    def read(self, path: str) -> bytes:
        return self._at(path).read_bytes()

    def read_range(self, path: str, offset: int, num_bytes: int) -> bytes:
        descriptor = os.open(f"{self.root}/{path}", os.O_RDONLY)  # a Path takes longer to make than to read
        try:
            pieces = []
            while num_bytes > 0 and (piece := os.pread(descriptor, num_bytes, offset)):
                pieces.append(piece)
                offset, num_bytes = offset + len(piece), num_bytes - len(piece)
            return b"".join(pieces)
        finally:
            os.close(descriptor)

    def pieces(self, path: str) -> Iterator[bytes]:
        with open(self._at(path), "rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def write(self, path: str, content: bytes) -> None:
        target = self._at(path)
        temporary = _write_temporary(target, content)
        os.replace(temporary, target)
        _sync_folder(target.parent)

    def create(self, path: str, content: bytes) -> bool:
        """False if the name exists."""
        target = self._at(path)
        if self._is_there(target):
            return False
        # link() fails if the name exists and shows the file only when whole, which O_EXCL on the name itself would not
        temporary = _write_temporary(target, content)
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary)
        _sync_folder(target.parent)
        return True

    def size(self, path: str) -> int:
        seen = os.stat(self._at(path))
        if stat.S_ISDIR(seen.st_mode):
            raise IsADirectoryError(path)
        return seen.st_size

    def names(self, path: str) -> list[str]:
        try:
            found = os.listdir(self._at(path) if path else self.root)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in found if not name.startswith(_WRITING)]

    def sizes(self, path: str) -> Iterator[tuple[str, int]]:
        """Files under a folder with their bytes. os.walk leaves out, silently, what it may not list; this does not."""
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            try:
                entries = list(os.scandir(self._at(folder) if folder else self.root))
            except (FileNotFoundError, NotADirectoryError):
                continue  # removed by another since its parent was listed
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif not entry.name.startswith(_WRITING):
                    with contextlib.suppress(FileNotFoundError):
                        yield name, entry.stat().st_size

    def ages(self, path: str) -> dict[str, float]:
        """When each file directly under a folder was written, in seconds since 1970."""
        found = {}
        for name in self.names(path):
            with contextlib.suppress(FileNotFoundError):
                found[name] = os.stat(self._at(f"{path}/{name}")).st_mtime
        return found

    def remove(self, path: str) -> None:
        target = self._at(path)
        while self._is_there(target):  # again if another removes the same folder at the same time
            with contextlib.suppress(FileNotFoundError):
                if target.is_dir() and not target.is_symlink():
                    shutil.rmtree(target)
                else:
                    target.unlink()

    def remove_files(self, paths: Iterable[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._at(path).unlink()

    def copy(self, source: str, target: str) -> None:
        path = self._at(target)
        temporary = _new_temporary(path)
        os.link(self._at(source), temporary)
        os.replace(temporary, path)
        temporary.unlink(missing_ok=True)  # replace does nothing if both names are one file already
        _sync_folder(path.parent)

    def put_file(self, file: Path, path: str, *, may_link: bool = False) -> None:
        """`may_link`: nobody writes to the file again, so that it may become the stored one if it lies on the same disk."""
        target = self._at(path)
        temporary = _new_temporary(target)
        try:
            if not (may_link and _link(file, temporary)):
                shutil.copyfile(file, temporary)
            with open(temporary, "rb") as copied:
                os.fsync(copied.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        os.replace(temporary, target)
        temporary.unlink(missing_ok=True)  # replace does nothing if both names are one file already
        _sync_folder(target.parent)

    def local_path(self, path: str) -> Path | None:
        return self._at(path)

    def _at(self, path: str) -> Path:
        return self.root / path

    @staticmethod
    def _is_there(target: Path) -> bool:
        try:
            os.stat(target)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True


def sha256_of(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _link(file: Path, target: Path) -> bool:
    """False if the two are on different disks, or theirs has no links."""
    try:
        os.link(file, target)
    except OSError:
        return False
    return True


def _new_temporary(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent / f"{_WRITING}{uuid.uuid4().hex}"


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
