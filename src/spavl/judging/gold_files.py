"""Where a user's gold set lies: a CSV and the images beside it, on disk or S3. The only file of judging that reads storage of others."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from spavl.errors import TryAgain, UserError

MAX_IMAGE_BYTES = 20_000_000


@dataclass(frozen=True)
class GoldFolder:
    """The folder of a set; `file` is the set itself."""

    filesystem: Any
    root: str
    file: str
    where: str

    @classmethod
    def of_set(cls, address: str) -> GoldFolder:
        """Raises UserError for an address that is not a path, file:// or s3://."""
        import fsspec

        scheme = address.split("://", 1)[0] if "://" in address else "file"
        if scheme not in ("file", "s3") or "::" in address:
            raise UserError(
                f"the gold set {address!r} is not an address that it may come from.",
                next_step="Allowed are a path, file:// and s3://; nothing is fetched from the web.",
            )
        try:
            filesystem, path = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise UserError(
                f"the gold set {address!r} cannot be opened: {error}.", next_step="Install spavl[s3]."
            ) from error
        root, _, file = path.rpartition("/")
        return cls(filesystem, root, file, address)

    def read_set(self) -> bytes:
        """The bytes of the set; raises UserError if it is not there."""
        return self._read(self.file, f"the gold set {self.where}")

    def read_image(self, key: str, item: str) -> bytes:
        """The bytes of an image beside the set; raises UserError if it is not there, too large, or does not open."""
        place = f"the gold set {self.where}: the image {key!r} of item {item!r}"
        if key.startswith("/") or "://" in key or ".." in key.split("/"):
            raise UserError(
                f"{place} is outside the set's folder.",
                next_step="Put it beside the CSV; name it from there.",
            )
        content = self._read(key, place)
        if len(content) > MAX_IMAGE_BYTES or not _opens(content):
            raise UserError(
                f"{place} is not an image of at most {MAX_IMAGE_BYTES} bytes.",
                next_step="Save it as PNG, JPEG or WEBP.",
            )
        return content

    def _read(self, key: str, place: str) -> bytes:
        try:
            return self.filesystem.cat_file(f"{self.root}/{key}")
        except (FileNotFoundError, IsADirectoryError):
            raise UserError(f"{place} is not there.", next_step="Put it there, or mend the name.") from None
        except PermissionError:
            raise UserError(
                f"{place} may not be read.", next_step="Give this process the right to."
            ) from None
        except OSError as error:
            raise TryAgain(
                f"{place} could not be read: {type(error).__name__}.", next_step="Run the same command again."
            ) from error


def _opens(content: bytes) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as opened:
            opened.verify()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return False
    return True
