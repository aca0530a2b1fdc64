"""A prefix of a bucket as a store: one request per read, write, create, size and 1,000 names of a listing.

What s3fs would ask beside the request itself (a HEAD before a GET, a LIST after a HEAD) is not asked, and nothing is listed
from a cache. s3fs uploads and copies in several parts what is too large for one request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spavl.artifacts.faults import client_error, code_of, is_transient_code, status_of
from spavl.artifacts.s3_requests import NUM_TRIES, NUM_TRIES_OF_REPLY, Requests, is_broken_off, pause
from spavl.errors import TryAgain

NUM_AT_ONCE = 8
ONE_PUT_BYTES = 100 * 2**20  # larger content goes in several parts; s3fs's own limit
COPY_PIECE_BYTES = 2**30
PIECE_BYTES = (
    2**25
)  # of a file; one below twice that goes in one PUT. Two pieces of each of NUM_AT_ONCE files are in memory
_MOST_PIECES = 10_000
NAMES_PER_DELETE = 1000


class S3:
    """Objects under `bucket/prefix`. Errors are botocore's, aiohttp's and s3fs's; `faults` puts them into words."""

    reads_ahead = True
    num_at_once = NUM_AT_ONCE

    def __init__(self, root: str) -> None:
        bucket, _, prefix = root.strip("/").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._s3 = Requests(bucket)

    @property
    def requests(self) -> dict[str, int]:
        """Requests that were sent, by kind, each try counted."""
        return self._s3.sent

    @property
    def filesystem(self) -> Any:
        """The s3fs whose connections these are."""
        return self._s3.fs

    # ------------------------------------------------------------------ objects

    def read(self, path: str) -> bytes:
        return self._s3.get(self._key(path))

    def read_range(self, path: str, offset: int, num_bytes: int) -> bytes:
        try:
            return (
                self._s3.get(self._key(path), Range=f"bytes={offset}-{offset + num_bytes - 1}")
                if num_bytes
                else b""
            )
        except OSError as error:
            if _code(error) == "InvalidRange":  # it begins behind the end
                return b""
            raise

    def pieces(self, path: str) -> Iterator[bytes]:
        """The object in pieces; after a break it goes on at the same byte of the same version."""
        offset, tries = 0, 1
        reply = self._s3.ask("get_object", self._key(path))
        num_bytes, same = reply["ContentLength"], reply["ETag"]
        while True:
            try:
                while piece := self._s3.piece(reply["Body"]):
                    offset += len(piece)
                    yield piece
            except Exception as error:
                if not is_broken_off(error) or tries >= NUM_TRIES_OF_REPLY:
                    raise
            finally:
                reply["Body"].close()
            if offset >= num_bytes:
                return
            pause(tries)
            tries += 1
            reply = self._s3.ask("get_object", self._key(path), Range=f"bytes={offset}-", IfMatch=same)

    def write(self, path: str, content: bytes) -> None:
        if len(content) < ONE_PUT_BYTES:
            self._s3.ask("put_object", self._key(path), Body=content)
        else:
            self._s3.run(self._s3.fs._pipe_file, self._full(path), content)

    def create(self, path: str, content: bytes) -> bool:
        """False if the name exists."""
        for tries in range(1, NUM_TRIES + 1):
            try:
                self._s3.ask("put_object", self._key(path), Body=content, IfNoneMatch="*")
            except OSError as error:
                if _code(error) == "PreconditionFailed":
                    return False
                # two writers at the same moment: S3 asks one of them to come again
                if _code(error) != "ConditionalRequestConflict" or tries == NUM_TRIES:
                    raise
                pause(tries)
            else:
                return True
        raise AssertionError("the last try returns or raises")

    def size(self, path: str) -> int:
        try:
            return int(self._s3.ask("head_object", self._key(path))["ContentLength"])
        except OSError as error:
            refusal = client_error(error)
            if refusal is None or status_of(refusal) not in (400, 403, 404):
                raise
            headers = refusal.response["ResponseMetadata"].get("HTTPHeaders", {})
            is_of_s3 = any(name.startswith("x-amz") for name in headers)
            if status_of(refusal) == 404 and is_of_s3 and self._s3.is_bucket_there:
                raise FileNotFoundError(path) from None
        return self._size_by_get(path)

    def _size_by_get(self, path: str) -> int:
        """A refused HEAD has no body that says why: no such key, no such bucket, or a proxy's page. The reply to a GET says."""
        try:
            reply = self._s3.ask("get_object", self._key(path), Range="bytes=0-0")
        except OSError as error:
            if _code(error) == "InvalidRange":  # it is there and has no bytes
                return 0
            raise
        reply["Body"].close()
        return int(reply["ContentRange"].rpartition("/")[2])

    # ------------------------------------------------------------------ listings

    def names(self, path: str) -> list[str]:
        folder = self._folder(path)
        found = []
        for page in self._pages(folder, Delimiter="/"):
            found += [entry["Prefix"][len(folder) : -1] for entry in page.get("CommonPrefixes", ())]
            found += [entry["Key"][len(folder) :] for entry in page.get("Contents", ())]
        return [name for name in found if name]

    def sizes(self, path: str) -> Iterator[tuple[str, int]]:
        for page in self._pages(self._folder(path)):
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):
                    yield entry["Key"][len(self._prefix) :], int(entry["Size"])

    def ages(self, path: str) -> dict[str, float]:
        """When each object directly under a folder was written, in seconds since 1970."""
        folder = self._folder(path)
        return {
            entry["Key"][len(folder) :]: entry["LastModified"].timestamp()
            for page in self._pages(folder, Delimiter="/")
            for entry in page.get("Contents", ())
        }

    def _pages(self, prefix: str, **options: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self._s3.whole(lambda: self._s3.ask("list_objects_v2", None, Prefix=prefix, **options))
            if "Name" not in page:  # an empty page of another server would read as an empty listing
                raise TryAgain(
                    f"what answers for s3://{self._s3.bucket} is no S3 server.",
                    next_step="Check AWS_ENDPOINT_URL and run the same command again.",
                )
            yield page
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    # ------------------------------------------------------------------ removing and copying

    def remove(self, path: str) -> None:
        self.remove_files([path, *(name for name, _ in self.sizes(path))])

    def remove_files(self, paths: Iterable[str]) -> None:
        paths = list(paths)
        for start in range(0, len(paths), NAMES_PER_DELETE):
            self._delete([self._key(path) for path in paths[start : start + NAMES_PER_DELETE]])

    def _delete(self, keys: list[str]) -> None:
        """One request; S3 may refuse single names in a reply that is 200 as a whole."""
        for tries in range(1, NUM_TRIES + 1):
            names = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            refused = self._s3.whole(
                lambda names=names: self._s3.ask("delete_objects", None, Delete=names)
            ).get("Errors", [])
            if not refused:
                return
            keys = [entry["Key"] for entry in refused]
            if tries == NUM_TRIES or not all(is_transient_code(entry["Code"]) for entry in refused):
                raise _refusal(refused[0]["Code"])
            pause(tries)

    def copy(self, source: str, target: str) -> None:
        """One request; several above 5 GB, which S3 refuses to copy in one."""
        place = {"Bucket": self._s3.bucket, "Key": self._key(source)}
        try:
            self._s3.ask("copy_object", self._key(target), CopySource=place)
        except OSError as error:
            if _code(error) not in ("InvalidRequest", "EntityTooLarge"):
                raise
            ends = self._full(source), self._full(target), self.size(source)
            self._s3.run(self._s3.fs._copy_managed, *ends, block=COPY_PIECE_BYTES)

    def put_file(self, file: Path, path: str, *, may_link: bool = False) -> None:
        piece = max(PIECE_BYTES, -(-file.stat().st_size // _MOST_PIECES))
        self._s3.run(self._s3.fs._put_file, str(file), self._full(path), chunksize=piece, max_concurrency=2)

    def local_path(self, path: str) -> Path | None:
        return None

    # ------------------------------------------------------------------ inside

    def _key(self, path: str) -> str:
        return self._prefix + path

    def _full(self, path: str) -> str:
        return f"{self._s3.bucket}/{self._prefix}{path}"

    def _folder(self, path: str) -> str:
        return f"{self._prefix}{path}/" if path else self._prefix


def _code(error: Exception) -> str:
    refusal = client_error(error)
    return code_of(refusal) if refusal else ""


def _refusal(code: str) -> Exception:
    from botocore.exceptions import ClientError

    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "DeleteObjects"
    )
