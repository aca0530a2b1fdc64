"""Packs: many blobs in one object. What lies where, without a store.

`packs/<name>.pack` is nothing but blobs one after another, ordered by digest; `packs/<name>.parquet` beside it is its index,
written after it: columns digest (32 bytes), offset, num_bytes. The name is the sha256 of the digests (of the bytes it could
not be: the same bytes may be cut into other blobs). A pack is there if both files are. One digest may lie in several packs. Stages ask for images in the order of their digests, so a pack is read from its start to its end.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

FOLDER = "packs"
PACK_BYTES = 64 * 2**20
DIGEST_BYTES = 32
_PACK, _INDEX = ".pack", ".parquet"


def blob_path(digest: str) -> str:
    """Where the bytes with this sha256 lie if they are an object of their own."""
    return f"blobs/{digest[:2]}/{digest}"


def pack_path(name: str) -> str:
    return f"{FOLDER}/{name}{_PACK}"


def index_path(name: str) -> str:
    return f"{FOLDER}/{name}{_INDEX}"


@dataclass(frozen=True, slots=True)
class Listed:
    """The names of packs that a listing shows."""

    whole: frozenset[str]
    without_index: frozenset[str]  # of a writer at work, or of one that was killed
    without_pack: frozenset[str]  # of a removal that was killed: nothing of it is left


def listed(paths: Iterable[str]) -> Listed:
    """Sorts out a listing of the folder of packs."""
    names = [path.rpartition("/")[2] for path in paths]
    packs = {name.removesuffix(_PACK) for name in names if name.endswith(_PACK)}
    indexes = {name.removesuffix(_INDEX) for name in names if name.endswith(_INDEX)}
    return Listed(frozenset(packs & indexes), frozenset(packs - indexes), frozenset(indexes - packs))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes with a digest lie."""

    pack: str
    offset: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that is made and not yet written."""

    name: str
    content: bytes
    places: Places


def make_pack(blobs: Mapping[bytes, bytes]) -> Pack:
    """The pack of {digest: content}; the same blobs make the same pack."""
    digests = sorted(blobs)
    content = b"".join(blobs[digest] for digest in digests)
    name = hashlib.sha256(b"".join(digests)).hexdigest()
    return Pack(name, content, Places.of(name, digests, [len(blobs[digest]) for digest in digests]))


class Places:
    """digest -> places, some 60 bytes a blob in numpy arrays [num_blobs], ordered by digest."""

    def __init__(
        self, packs: tuple[str, ...], digests: np.ndarray, pack: np.ndarray, offset: np.ndarray, num_bytes: np.ndarray
    ) -> None:  # fmt: skip
        self.packs = packs
        self._digests = digests  # [num_blobs, 32] uint8
        self._pack = pack  # int32, a number in `packs`
        self._offset = offset  # int64
        self._num_bytes = num_bytes  # int64
        # the first 8 bytes as a number, which numpy can search; nearly always they tell two digests apart
        self._prefix = digests[:, :8].copy().view(">u8").ravel().astype("u8")

    @classmethod
    def of(cls, pack: str, digests: list[bytes], num_bytes: list[int]) -> Places:
        """Of one pack whose blobs, ordered by digest, have these lengths."""
        import numpy as np

        lengths = np.array(num_bytes, np.int64)
        offset = np.cumsum(lengths) - lengths
        table = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)
        return cls((pack,), table, np.zeros(len(lengths), np.int32), offset, lengths)

    @classmethod
    def from_index(cls, pack: str, content: bytes) -> Places:
        """Of the index of a pack; raises pyarrow.ArrowException or KeyError if it is none."""
        import numpy as np
        import pyarrow.parquet as pq

        with pq.ParquetFile(io.BytesIO(content)) as file:  # pq.read_table imports what reads folders of files
            table = file.read(use_threads=False).combine_chunks()
        digests = np.frombuffer(b"".join(table["digest"].to_pylist()), np.uint8).reshape(-1, DIGEST_BYTES)
        columns = (table[name].to_numpy().astype(np.int64) for name in ("offset", "num_bytes"))
        return cls((pack,), digests, np.zeros(len(digests), np.int32), *columns)

    def to_index(self) -> bytes:
        """The index of the one pack whose places these are, as a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        digests = pa.array([row.tobytes() for row in self._digests], pa.binary(DIGEST_BYTES))
        columns = {
            "digest": digests,
            "offset": pa.array(self._offset),
            "num_bytes": pa.array(self._num_bytes),
        }
        buffer = io.BytesIO()
        pq.write_table(
            pa.table(columns), buffer, compression="zstd", use_dictionary=False, write_statistics=False,
            column_encoding={"offset": "DELTA_BINARY_PACKED", "num_bytes": "DELTA_BINARY_PACKED"},
        )  # fmt: skip
        return buffer.getvalue()

    @classmethod
    def joined(cls, several: Iterable[Places]) -> Places:
        """All places of several."""
        import numpy as np

        several = list(several)
        if not several:
            return cls.of("", [], []).without([""])
        packs = tuple(dict.fromkeys(name for places in several for name in places.packs))
        number = {name: position for position, name in enumerate(packs)}
        digests = np.concatenate([places._digests for places in several])
        pack = np.concatenate(
            [np.array([number[name] for name in places.packs], np.int32)[places._pack] for places in several]
        )
        offset = np.concatenate([places._offset for places in several])
        num_bytes = np.concatenate([places._num_bytes for places in several])
        words = digests.copy().view(">u8")
        order = np.lexsort(words.T[::-1])
        return cls(packs, digests[order], pack[order], offset[order], num_bytes[order])

    def without(self, packs: Iterable[str]) -> Places:
        """The places in other packs than these."""
        import numpy as np

        dropped = set(packs)
        keeps = np.array([name not in dropped for name in self.packs], bool)
        numbers = (np.cumsum(keeps) - 1).astype(np.int32)
        rows = keeps[self._pack]
        return Places(
            tuple(name for name in self.packs if name not in dropped),
            self._digests[rows], numbers[self._pack[rows]], self._offset[rows], self._num_bytes[rows],
        )  # fmt: skip

    def find(self, digest: bytes) -> list[Place]:
        """All places of a digest; empty if it lies in none of the packs."""
        import numpy as np

        prefix = np.uint64(int.from_bytes(digest[:8], "big"))
        row, found = int(self._prefix.searchsorted(prefix)), []
        while row < len(self._prefix) and self._prefix[row] == prefix:
            if self._digests[row].tobytes() == digest:
                found.append(self._place(row))
            row += 1
        return found

    def first_of_each(self, digests: Sequence[bytes]) -> list[Place | None]:
        """A place of each digest of 32 bytes, looked up together; None: ask `find`, there may be one."""
        import numpy as np

        if not len(self._prefix):
            return [None] * len(digests)
        wanted = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)
        prefix = wanted[:, :8].copy().view(">u8").ravel().astype("u8")
        rows = np.minimum(np.searchsorted(self._prefix, prefix), len(self._prefix) - 1)
        is_there = (self._digests[rows] == wanted).all(axis=1)
        return [self._place(row) if there else None for row, there in zip(rows, is_there, strict=True)]

    def of_pack(self, pack: str) -> list[tuple[bytes, Place]]:
        """What one pack holds, ordered by digest."""
        import numpy as np

        rows = np.flatnonzero(self._pack == self.packs.index(pack))
        return [(self._digests[row].tobytes(), self._place(row)) for row in rows]

    def bytes_of_packs(self) -> dict[str, int]:
        """Bytes of blobs in each pack."""
        import numpy as np

        sums = np.bincount(self._pack, weights=self._num_bytes, minlength=len(self.packs))
        return {name: int(num_bytes) for name, num_bytes in zip(self.packs, sums, strict=True)}

    def blobs(self) -> Iterable[tuple[bytes, int]]:
        """Each digest once, with its bytes, in order."""
        former = b""
        for digests, num_bytes in zip(self._digests, self._num_bytes, strict=True):
            if (digest := digests.tobytes()) != former:
                yield digest, int(num_bytes)
            former = digest

    def __len__(self) -> int:
        return len(self._prefix)

    def _place(self, row: int) -> Place:
        return Place(self.packs[self._pack[row]], int(self._offset[row]), int(self._num_bytes[row]))


def in_groups(num_bytes: Mapping[str, int], most: int = PACK_BYTES) -> list[list[str]]:
    """Packs in groups whose blobs fit one pack, in the order of their names; a pack that is larger by itself is a group."""
    groups: list[list[str]] = []
    filled = 0
    for name in sorted(num_bytes):
        if not groups or filled + num_bytes[name] > most:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += num_bytes[name]
    return groups
